package app

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

// openRing opens the keys. The life of access tokens is zero for a command, which
// issues none.
func openRing(ctx context.Context, c *config.Config, d *db.DB, life time.Duration, now time.Time) (*keyring.Ring, error) {
	master, err := masterSecret(c)
	if err != nil {
		return nil, err
	}
	return keyring.Open(ctx, d, secret.Random{}, now, keyring.Config{
		Secret: master, Previous: c.JWTSecretKeyPrevious.Reveal(), Algorithm: c.JWTAlgorithm, Life: life,
	})
}

// openKeys opens the keys for serving, and does what the settings ask of them.
func (b *base) openKeys(ctx context.Context) (*keyring.Ring, error) {
	c := b.config
	ring, err := openRing(ctx, c, b.db, c.AccessTokenLife, b.now())
	if err != nil {
		return nil, err
	}
	ids := ring.Secrets()
	switch {
	case c.JWTSecretKeyPrevious == "":
	case len(ids) == 1:
		b.log.Warn("JWT_SECRET_KEY_PREVIOUS opens nothing here. If the change of the secret is done, remove it; if not, it is not the secret before.",
			"fingerprint", ids[0])
	default:
		b.log.Info("the keys are sealed under JWT_SECRET_KEY and JWT_SECRET_KEY_PREVIOUS; once all replicas have the new one, remove the previous",
			"fingerprints", strings.Join(ids, " "))
	}
	return ring, nil
}

// signingKeys are the keys for access tokens, or for ID tokens, as the issuer wants them.
func signingKeys(ring *keyring.Ring, p keyring.Purpose) []token.Key {
	var out []token.Key
	all := ring.Keys(p)
	for _, k := range all {
		if k.RevokedAt.IsZero() {
			to, until := keyring.Replaced(all, k)
			out = append(out, token.Key{ID: k.Name, Algorithm: k.Algorithm, Material: k.Material, From: k.From, To: to, Until: until})
		}
	}
	return out
}

// idKeys are those of ID tokens, of either algorithm.
func idKeys(ring *keyring.Ring) []token.Key {
	return append(signingKeys(ring, keyring.IDSign), signingKeys(ring, keyring.IDSignES256)...)
}

func refreshKeys(ring *keyring.Ring) session.Keys {
	keys := session.Keys{MAC: ring.Key(keyring.RefreshMAC), Derive: ring.Key(keyring.RefreshDerive)}
	// Those from before a restore, unless they may be in the wrong hands.
	all := ring.Keys(keyring.RefreshMAC)
	for _, k := range all[:len(all)-1] {
		if k.RevokedAt.IsZero() {
			keys.Former = append(keys.Former, k.Material)
		}
	}
	return keys
}

// followed are the purposes whose keys are taken up while the server runs.
var followed = []keyring.Purpose{keyring.AccessSign, keyring.RefreshMAC, keyring.RefreshDerive, keyring.CSRF, keyring.ACME, keyring.Request, keyring.IDSign,
	keyring.IDSignES256}

// followRing has those who use keys use the new ones when the ring changes.
func (t *tokens) followRing() {
	ring := t.ring
	atStart := map[keyring.Purpose]string{}
	for _, p := range operate.Leaked() {
		if !slices.Contains(followed, p) {
			atStart[p] = string(ring.Key(p))
		}
	}
	ring.OnChange(func() {
		for p, key := range atStart {
			if string(ring.Key(p)) != key {
				t.log.Warn("A key was replaced that is taken up at a start: restart this replica.", "purpose", string(p))
			}
		}
		if err := t.issuer.Use(signingKeys(ring, keyring.AccessSign), idKeys(ring)...); err != nil {
			t.log.Error("The keys for access tokens have changed and can't be used; this replica goes on with those that it has.", "error", err.Error())
			return
		}
		t.sessions.Use(refreshKeys(ring))
		t.grants.Use(refreshKeys(ring))
		t.log.Info("the keys have changed")
	}, func(err error) {
		t.log.Error("The keys have changed and can't be opened; this replica goes on with those that it has, and refuses tokens made with others. See "+
			"docs/guides/keys.md.", "error", err.Error())
	})
}

// adoptKeys does what JWT_ALGORITHM and the secrets ask for.
func (t *tokens) adoptKeys(ctx context.Context) error {
	next, old, err := t.keys.Adopt(ctx, t.config.JWTAlgorithm)
	if err != nil {
		return err
	}
	if next.ID != "" {
		t.log.Info("JWT_ALGORITHM has changed: a key for it is published, and signs once applications may know it", "algorithm", next.Algorithm,
			"key", next.Name, "from", next.From.UTC())
	}
	if len(old) > 0 {
		t.log.Info("the change of JWT_SECRET_KEY is done: the one before opens nothing any more", "fingerprints", strings.Join(old, " "))
	}
	return nil
}

// OperatorKeys opens the keys for one command of the operator's: see [Operator].
func OperatorKeys(ctx context.Context, c *config.Config, log, events *slog.Logger) (*operate.Keys, func() error, error) {
	if err := existing(c); err != nil {
		return nil, nil, err
	}
	d, err := OpenDatabase(ctx, c, log)
	if err != nil {
		return nil, nil, err
	}
	k, err := operatorKeys(ctx, c, d, log, events)
	if err != nil {
		return nil, nil, errors.Join(err, d.Close())
	}
	return k, d.Close, nil
}

func operatorKeys(ctx context.Context, c *config.Config, d *db.DB, log, events *slog.Logger) (*operate.Keys, error) {
	if err := prepareOperator(ctx, c, d, log, secret.Random{}); err != nil {
		return nil, err
	}
	ring, err := openRing(ctx, c, d, 0, time.Now())
	if err != nil {
		return nil, err
	}
	return &operate.Keys{
		Core: flow.Core{DB: d, Events: event.NewLog(events, secret.Random{}, time.Now, nil), Now: time.Now},
		Ring: ring, Revoked: token.NewRevocations(d, c.AccessTokenLife, 0, time.Now),
		SecondApproves: c.SecondApproves(),
	}, nil
}
