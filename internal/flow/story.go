package flow

import (
	"context"
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
)

// Story is a person's own bad day: what happened before they said "this wasn't me", and what that has ended.
type Story struct {
	// At is when they said so.
	At time.Time
	// Happened are the events of the days before, the newest first: at most [storyLength]. More says that there were others, Failed how
	// many sign-ins failed.
	Happened []event.Entry
	More     bool
	Failed   int64
	// Sessions and Identities are how many ended; Kept says that the account was to be deleted, and no longer is.
	Sessions, Identities int64
	Kept                 bool

	// request is the request that said so: somebody may have said it a moment before as well.
	request string
}

const (
	// StoryLife is for how long a browser is shown the story: nothing is left to sign in with that could show it later.
	StoryLife = 15 * time.Minute
	// storyDays is how far it goes back, as far as undos do.
	storyDays = 7 * 24 * time.Hour
	// storyLength is how many events it tells, and storyMost how many are looked at for them: refreshes are among them.
	storyLength, storyMost = 10, 2000
)

// told are the kinds of events that a story tells: those that people are mailed of as well, so that who comes by a link in a mailbox
// learns little more than stands there.
var told = map[event.Kind]bool{
	event.Login: true, event.PasswordChange: true, event.PasswordReset: true, event.PasswordRemoved: true, event.EmailChange: true,
	event.AccountLockout: true, event.SuspiciousActivity: true, event.RoleChange: true, event.FactorAdded: true, event.FactorRemoved: true,
	event.FactorUndone: true, event.FactorResetAsked: true, event.FactorResetDone: true, event.RecoveryCodesMade: true, event.RecoveryCodeUsed: true,
	event.IdentityLinked: true, event.IdentityUnlinked: true, event.ErasureAsked: true, event.DataExport: true,
}

// shows is what shows the story of an account to the browser in which somebody has said "this wasn't me": signed, since it opens
// what happened to that account, and no other's; nothing for a time that is longer ago than stories are shown.
func (f *NotMe) shows(id string, at time.Time) string {
	if f.Now().Sub(at) > StoryLife {
		return ""
	}
	said := id + "." + strconv.FormatInt(at.UnixMicro(), 36)
	return said + "." + f.storyMAC(said)
}

func (f *NotMe) storyMAC(said string) string {
	return base64.RawURLEncoding.EncodeToString(secret.MAC(f.Key(), []byte("flow/story"), []byte(said)))
}

// Story returns the story that a browser may be shown; ok is false for what we have not made, or longer ago than [StoryLife].
func (f *NotMe) Story(ctx context.Context, shows string) (s Story, ok bool, err error) {
	cut := strings.LastIndexByte(shows, '.')
	if cut < 0 || !secret.Equal([]byte(shows[cut+1:]), []byte(f.storyMAC(shows[:cut]))) {
		return s, false, nil
	}
	id, when, _ := strings.Cut(shows[:cut], ".")
	at, err := strconv.ParseInt(when, 36, 64)
	if err != nil {
		return s, false, nil //nolint:nilerr // not of this version
	}
	s.At = time.UnixMicro(at)
	if f.Now().Sub(s.At) > StoryLife {
		return s, false, nil
	}
	err = f.DB.Read(ctx, func(tx *db.Tx) error { return f.tell(tx, id, &s) })
	return s, err == nil, err
}

// tell reads the story: not what came after it, so that it shows nobody what its owner does next.
func (f *NotMe) tell(tx *db.Tx, id string, s *Story) error {
	const page = 250
	before := ""
	for read := 0; read < storyMost; read += page {
		list, err := f.Guard.Events.OfPerson(tx, id, before, page)
		if err != nil {
			return err
		}
		for _, e := range list {
			if s.At.Sub(e.Time) > storyDays {
				return nil
			}
			s.add(e)
		}
		if len(list) < page {
			return nil
		}
		before = list[len(list)-1].ID
	}
	s.More = true
	return nil
}

// add takes an event into the story.
func (s *Story) add(e event.Entry) {
	switch {
	case e.Detail.Reason == notMe && e.Time.Sub(s.At).Abs() < time.Minute && (s.request == "" || s.request == e.RequestID):
		s.request = e.RequestID
		s.ended(e.Kind)
	case e.Time.After(s.At):
	case e.Kind == event.FailedLogin:
		s.Failed++
	case !told[e.Kind] || e.Outcome != event.Success && e.Kind != event.SuspiciousActivity:
	case len(s.Happened) == storyLength:
		s.More = true
	default:
		s.Happened = append(s.Happened, e)
	}
}

// ended counts what "this wasn't me" itself has ended.
func (s *Story) ended(k event.Kind) {
	switch k {
	case event.SessionRevoked:
		s.Sessions++
	case event.IdentityUnlinked:
		s.Identities++
	case event.ErasureUndone:
		s.Kept = true
	}
}
