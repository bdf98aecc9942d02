package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"golang.org/x/oauth2"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// leeway is by how much the provider's clock and ours may differ.
const leeway = time.Minute

// Answer is what a browser brings back from a provider.
type Answer struct {
	Code, Issuer, Error string
	// Name is what Apple's form has of a person's name, unsigned and only once: it is for display alone.
	Name string
}

// Person returns who has signed in, or one of the faults. The tokens that the code is exchanged for are forgotten.
func (r *Remote) Person(ctx context.Context, a Asking, in Answer) (who Person, err error) {
	m, err := r.metadata(ctx)
	if err != nil {
		return who, err
	}
	// An answer of another provider's is looked at no further, an error neither (RFC 9207).
	if in.Issuer != "" && in.Issuer != m.Issuer && !slices.Contains(r.Issuers(), in.Issuer) || in.Issuer == "" && m.Names {
		return who, ErrAnswer.Because(wrongIssuer)
	}
	switch {
	case in.Error != "":
		return who, ErrDenied
	case in.Code == "":
		return who, ErrAnswer.Because(tokenRefused)
	}
	c, err := r.config(m, a.Redirect)
	if err != nil {
		return who, err
	}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, r.server.Client())
	token, err := c.Exchange(ctx, in.Code, oauth2.VerifierOption(a.Verifier))
	var refused *oauth2.RetrieveError
	switch {
	case errors.As(err, &refused) && (refused.Response == nil || refused.Response.StatusCode < 500):
		return who, ErrAnswer.Because(tokenRefused) // its text has what was sent
	case err != nil:
		return who, ErrAway.Because(errors.New("its token endpoint can't be reached, or fails"))
	case r.Kind == GitHub:
		return r.gitHubPerson(ctx, token.AccessToken)
	}
	return r.identified(ctx, m, a, in, token)
}

// identified is who an ID token is about.
func (r *Remote) identified(ctx context.Context, m *metadata, a Asking, in Answer, token *oauth2.Token) (who Person, err error) {
	raw, _ := token.Extra("id_token").(string)
	if raw == "" {
		return who, ErrAnswer.Because(noIDToken)
	}
	said, err := r.verify(ctx, raw, a.Nonce, token.AccessToken)
	if err != nil {
		return who, err
	}
	who, err = r.personOf(said)
	if err != nil {
		return who, err
	}
	if who.Name == "" {
		who.Name = in.Name
	}
	if who.Email != "" || m.UserInfo == "" || r.Kind == Apple {
		return who, nil
	}
	return who, r.ask(ctx, m, token.AccessToken, said.text("sub"), &who)
}

// ask completes a person by the userinfo endpoint, whose document has the address and what is said about it.
func (r *Remote) ask(ctx context.Context, m *metadata, token, subject string, who *Person) error {
	text, err := r.server.Get(ctx, m.UserInfo, token)
	if err != nil {
		return ErrAway.Because(err)
	}
	var said claims
	if json.Unmarshal(text, &said) != nil || said.text("sub") != subject {
		return ErrAnswer.Because(noPerson)
	}
	who.Email, who.Verified = said.text("email"), r.verified(said)
	if who.Name == "" {
		who.Name = short(said.text("name"))
	}
	return nil
}

// claims are what a document says, by names to the letter.
type claims map[string]json.RawMessage

func (c claims) text(name string) (s string) {
	if json.Unmarshal(c[name], &s) != nil {
		return ""
	}
	return s
}

// yes reports whether a claim is true; some providers write it as text.
func (c claims) yes(name string) bool {
	var b bool
	if json.Unmarshal(c[name], &b) == nil {
		return b
	}
	s := c.text(name)
	return s == "true" || s == "1"
}

func (c claims) seconds(name string) int64 {
	var f float64
	if json.Unmarshal(c[name], &f) != nil || f < 0 || f > 1<<40 {
		return 0
	}
	return int64(f)
}

func (c claims) list(name string) (list []string) {
	if json.Unmarshal(c[name], &list) != nil {
		return nil
	}
	return list
}

// verify returns what an ID token says (OpenID Connect Core section 3.1.3.7).
func (r *Remote) verify(ctx context.Context, raw, nonce, access string) (claims, error) {
	now := r.now()
	algorithms := []string{}
	for _, a := range Algorithms() {
		algorithms = append(algorithms, string(a))
	}
	// The issuer is judged below: it can be one of several. Expired is a minute after that.
	keys := &lookup{keySet: r.keys}
	verifier := oidc.NewVerifier("", keys, &oidc.Config{
		ClientID: r.ClientID, SupportedSigningAlgs: algorithms, SkipIssuerCheck: true, Now: func() time.Time { return now.Add(-leeway) },
	})
	token, err := verifier.Verify(ctx, raw)
	var expired *oidc.TokenExpiredError
	switch {
	case errors.As(err, &expired):
		return nil, ErrAnswer.Because(wrongTime)
	case err != nil && fault.KindOf(keys.failed) == fault.Unavailable:
		return nil, keys.failed
	case err != nil:
		return nil, ErrAnswer.Because(wrongToken)
	}
	var said claims
	if err := token.Claims(&said); err != nil {
		return nil, ErrAnswer.Because(wrongToken)
	}
	switch azp := said.text("azp"); {
	case len(token.Audience) != 1 || token.Audience[0] != r.ClientID || azp != "" && azp != r.ClientID:
		return nil, ErrAnswer.Because(wrongAudience)
	case token.IssuedAt.After(now.Add(leeway)) || token.IssuedAt.Unix() <= 0:
		return nil, ErrAnswer.Because(wrongTime)
	case nonce == "" || token.Nonce != nonce:
		return nil, ErrAnswer.Because(wrongNonce)
	case token.AccessTokenHash != "" && token.VerifyAccessToken(access) != nil:
		return nil, ErrAnswer.Because(wrongHash)
	}
	return said, nil
}

// lookup keeps why a signature was not verified, of which the library hands on the text.
type lookup struct {
	*keySet
	failed error
}

// VerifySignature implements oidc.KeySet.
func (l *lookup) VerifySignature(ctx context.Context, token string) (text []byte, err error) {
	text, err = l.keySet.VerifySignature(ctx, token)
	l.failed = err
	return text, err
}

const (
	// mostSubject is the longest subject, in bytes (OpenID Connect Core section 2); mostEmail and mostPersonName are as much as an account has.
	mostSubject    = 255
	mostEmail      = 254
	mostPersonName = 400
)

// personOf reads who an ID token is about.
func (r *Remote) personOf(said claims) (who Person, err error) {
	who = Person{
		Issuer: said.text("iss"), Subject: said.text("sub"), Email: said.text("email"), Verified: r.verified(said), Name: short(said.text("name")),
		Auth: said.seconds("auth_time"), Factors: slices.Contains(said.list("amr"), "mfa"),
	}
	if r.Kind == Google {
		who.Domain = strings.ToLower(said.text("hd"))
		if _, bare, _ := strings.Cut(r.Issuer, "://"); who.Issuer == bare { // as it writes it, too
			who.Issuer = r.Issuer
		}
		if len(r.HD) > 0 && !r.HD.has(who.Domain) {
			return who, ErrNotAllowed
		}
	}
	if r.Kind == Microsoft {
		tenant := said.text("tid")
		if who.Issuer != r.tenantIssuer(tenant) {
			return who, ErrAnswer.Because(wrongIssuer)
		}
		if !slices.Contains(r.Tenants, tenant) {
			return who, ErrNotAllowed
		}
	}
	if !slices.Contains(r.Issuers(), who.Issuer) {
		return who, ErrAnswer.Because(wrongIssuer)
	}
	if who.Subject == "" || len(who.Subject) > mostSubject || strings.ContainsFunc(who.Subject, unicode.IsControl) {
		return who, ErrAnswer.Because(wrongSubject)
	}
	if len(who.Email) > mostEmail {
		who.Email, who.Verified = "", false
	}
	return who, nil
}

// short is a name that an account could have by its length.
func short(name string) string {
	if len(name) > mostPersonName {
		return ""
	}
	return name
}

// verified reports whether the provider says that an address is the person's. Microsoft's email is whatever an administrator of
// any tenant has typed, so only what it says of the domain counts.
func (r *Remote) verified(said claims) bool {
	if r.Kind == Microsoft {
		return said.yes("xms_edov")
	}
	return said.yes("email_verified")
}

// appleSecret is the client's secret at Apple: signed for five minutes.
func (r *Remote) appleSecret() (string, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: r.key},
		(&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", r.KeyID))
	if err != nil {
		return "", err
	}
	now := r.now()
	return jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: r.TeamID, Subject: r.ClientID, Audience: jwt.Audience{r.Issuer}, IssuedAt: jwt.NewNumericDate(now),
		Expiry: jwt.NewNumericDate(now.Add(5 * time.Minute)),
	}).Serialize()
}

// gitHub is what GitHub has in the place of a discovery document. Its API is on a host of its own, that of a server of one's own below it.
func (r *Remote) gitHub() *metadata {
	api := strings.TrimSuffix(r.Issuer, "/") + "/api/v3"
	if r.Issuer == kinds[GitHub].issuer {
		api = "https://api.github.com"
	}
	base := strings.TrimSuffix(r.Issuer, "/") + "/login/oauth/"
	return &metadata{Issuer: r.Issuer, Authorize: base + "authorize", Token: base + "access_token", UserInfo: api}
}

// gitHubPerson is whose token it is: by a number, since a login name can become somebody else's. The address is the primary one that
// is verified, and GitHub is authoritative for none.
func (r *Remote) gitHubPerson(ctx context.Context, token string) (who Person, err error) {
	api := r.gitHub().UserInfo
	text, err := r.server.Get(ctx, api+"/user", token)
	if err != nil {
		return who, ErrAway.Because(err)
	}
	var user struct {
		ID   int64  `json:"id"`
		Name string `json:"name"`
	}
	if json.Unmarshal(text, &user) != nil || user.ID <= 0 {
		return who, ErrAnswer.Because(noPerson)
	}
	who = Person{Issuer: r.Issuer, Subject: strconv.FormatInt(user.ID, 10), Name: short(user.Name)}
	var list []struct {
		Email    string `json:"email"`
		Primary  bool   `json:"primary"`
		Verified bool   `json:"verified"`
	}
	if text, err = r.server.Get(ctx, api+"/user/emails?per_page=100", token); err != nil {
		return who, ErrAway.Because(err)
	}
	if json.Unmarshal(text, &list) != nil {
		return who, ErrAnswer.Because(noPerson)
	}
	for _, e := range list {
		if e.Primary && e.Verified && len(e.Email) <= mostEmail {
			who.Email, who.Verified = e.Email, true
		}
	}
	return who, nil
}
