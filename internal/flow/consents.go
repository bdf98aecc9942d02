package flow

import (
	"context"
	"maps"
	"slices"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/consent"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
)

// Consents are what people agree to, and take back.
type Consents struct {
	Core
	Library *consent.Library
	Revoked *token.Revocations
	Random  secret.Random
	// Required are the names of the documents that everybody must agree to before a session begins.
	Required []string
}

// Agreed are the versions that somebody agrees to, by the documents' names, and the language in which they were read.
type Agreed struct {
	Versions map[string]int64
	Language string
}

// Requires reports whether everybody must agree to a document.
func (f *Consents) Requires(name string) bool { return slices.Contains(f.Required, name) }

// present checks that what somebody agrees to are versions in force, and returns these.
func (f *Consents) present(tx *db.Tx, a Agreed) (list []consent.Document, err error) {
	if len(a.Versions) == 0 {
		return nil, nil
	}
	newest, err := consent.Newest(tx)
	if err != nil {
		return nil, err
	}
	for name, version := range a.Versions {
		if newest[name] == 0 {
			return nil, consent.ErrNoDocument
		}
		if newest[name] != version {
			return nil, ErrDocumentChanged
		}
		d, err := consent.Find(tx, name, version)
		if err != nil {
			return nil, err
		}
		list = append(list, d)
	}
	slices.SortFunc(list, func(a, b consent.Document) int { return consent.Compare(a.Name, b.Name) })
	return list, nil
}

// outstanding returns the versions in force of the required documents that an account has not agreed to, in the order
// in which they are shown. With none required it asks nobody.
func (f *Consents) outstanding(tx *db.Tx, accountID string) (list []consent.Document, err error) {
	if f == nil || len(f.Required) == 0 {
		return nil, nil
	}
	newest, err := consent.Newest(tx)
	if err != nil {
		return nil, err
	}
	given, err := consent.Given(tx, accountID)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.SortedFunc(slices.Values(f.Required), consent.Compare) {
		if newest[name] == 0 || given[name] == newest[name] {
			continue
		}
		d, err := consent.Find(tx, name, newest[name])
		if err != nil {
			return nil, err
		}
		list = append(list, d)
	}
	return list, nil
}

// consentOutcomes are those of agreeing.
func consentOutcomes() map[string][]string {
	return map[string][]string{
		"agree":          {success, "sign_in_over", "document_changed", "account_disabled", "password_reset_required"},
		"consents":       {success},
		"change_consent": {success, "document_changed", "document_not_found", "too_many_consents", "account_not_found"},
	}
}

// hold takes the account's row where anything is asked for.
func (f *Consents) hold(tx *db.Tx, accountID string) error {
	if f == nil || len(f.Required) == 0 {
		return nil
	}
	return account.Hold(tx, accountID)
}

// give records consents, each with its event. Whoever calls it holds the account's row.
func (f *Consents) give(tx *db.Tx, accountID, sessionID string, list []consent.Document, language string, how consent.How, from event.Origin) error {
	for _, d := range list {
		_, in := d.In(language)
		given, err := consent.Give(tx, f.Random, consent.Consent{
			Account: accountID, Document: d.Name, Version: d.Version, Hash: d.Hash, Language: in, How: how,
		}, f.Now())
		if err != nil {
			return err
		}
		if given {
			f.changed(tx, accountID, sessionID, d.Name, d.Version, "given", from)
		}
	}
	return nil
}

func (f *Consents) changed(tx *db.Tx, accountID, sessionID, document string, version int64, why string, from event.Origin) {
	f.Events.Append(tx, event.Event{
		Kind: event.ConsentChange, Outcome: event.Success, Account: accountID, Session: sessionID, Origin: from,
		Detail: event.Detail{Reason: why, Document: document, Version: version},
	})
}

// Standing is a document as a person has it before them.
type Standing struct {
	consent.Document
	Required bool
	// Given is the consent in force to the latest version that was agreed to; nil for none.
	Given *consent.Consent
}

// Current reports whether the version in force is the one that was agreed to.
func (s Standing) Current() bool { return s.Given != nil && s.Given.Version == s.Version }

// Of returns the documents, and all of a person's consents, the newest first.
func (f *Consents) Of(ctx context.Context, accountID string) (list []Standing, history []consent.Consent, err error) {
	ctx, run := f.Count.Begin(ctx, "consents")
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		history, err = consent.Of(tx, accountID)
		return err
	})
	if err != nil {
		return nil, nil, run.End(err)
	}
	for _, d := range f.Library.List() {
		s := Standing{Document: d, Required: f.Requires(d.Name)}
		for _, c := range history {
			if c.Document == d.Name && c.WithdrawnAt.IsZero() && (s.Given == nil || c.Version > s.Given.Version) {
				s.Given = &c
			}
		}
		list = append(list, s)
	}
	return list, history, run.End(nil)
}

// Agree records that a person who is signed in agrees to the version in force.
func (f *Consents) Agree(ctx context.Context, who Identity, a Agreed, from event.Origin) error {
	ctx, run := f.Count.Begin(ctx, "change_consent")
	return run.End(f.DB.Write(ctx, func(tx *db.Tx) error {
		if err := account.Hold(tx, who.Account); err != nil {
			return err
		}
		list, err := f.present(tx, a)
		if err != nil {
			return err
		}
		return f.give(tx, who.Account, who.Session, list, a.Language, consent.Account, from)
	}))
}

// Withdraw takes back a person's consent to a document, if there is any. With a required one all their sessions end:
// they are asked again when they sign in.
func (f *Consents) Withdraw(ctx context.Context, who Identity, document string, from event.Origin) error {
	ctx, run := f.Count.Begin(ctx, "change_consent")
	return run.End(f.DB.Write(ctx, func(tx *db.Tx) error {
		if err := account.Hold(tx, who.Account); err != nil {
			return err
		}
		version, err := consent.Withdraw(tx, who.Account, document, f.Now())
		if err != nil {
			return err
		}
		if version == 0 {
			_, err := consent.Find(tx, document, 0)
			return err
		}
		f.changed(tx, who.Account, who.Session, document, version, "withdrawn", from)
		if !f.Requires(document) {
			return nil
		}
		_, err = f.EndAll(tx, f.Revoked, who.Account, "", session.WhyRevoked, event.Detail{Reason: "consent_withdrawn"}, from)
		return err
	}))
}

// Version returns a version of a document, that in force for 0, or consent.ErrNoDocument.
func (f *Consents) Version(ctx context.Context, name string, version int64) (d consent.Document, err error) {
	if version == 0 {
		d, ok := f.Library.Find(name)
		if !ok {
			return d, consent.ErrNoDocument
		}
		return d, nil
	}
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		d, err = consent.Find(tx, name, version)
		return err
	})
	return d, err
}

// Publish makes the texts of each document its version in force, unless they were one before. It returns the names of
// those whose texts are an older version's: of these the newer one stays in force.
func (f *Consents) Publish(ctx context.Context, texts map[string]map[string]string) (older []string, err error) {
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		var isOlder bool
		err := f.DB.Write(ctx, func(tx *db.Tx) error {
			d, made, err := consent.Publish(tx, name, texts[name], f.Now())
			if err != nil {
				return err
			}
			if made {
				f.Events.Append(tx, event.Event{
					Kind: event.DocumentPublished, Outcome: event.Success, Detail: event.Detail{Document: d.Name, Version: d.Version},
				})
				return nil
			}
			newest, err := consent.Newest(tx)
			isOlder = newest[name] != d.Version
			return err
		})
		if err != nil {
			return older, err
		}
		if isOlder {
			older = append(older, name)
		}
	}
	return older, f.Library.Load(ctx)
}

// Documents returns every version of every document, and how many have agreed to each.
func (f *Consents) Documents(ctx context.Context) (list []consent.Counted, err error) {
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		list, err = consent.All(tx)
		return err
	})
	return list, err
}
