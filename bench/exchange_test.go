package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/base/rotation"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/grant"
)

// The codes that a benchmark gives are ones that the server takes, of an account that can sign in.
func TestTheCodesAreReal(t *testing.T) {
	ctx, dbURL := context.Background(), dbtest.EmptyPostgres(t)
	if _, err := fill(ctx, dbURL, master, 5, 0); err != nil {
		t.Fatal(err)
	}
	given, err := giveCodes(ctx, dbURL, keyring.ES256, 3)
	if err != nil || len(given.list) != 3 {
		t.Fatalf("%d codes, error %v", len(given.list), err)
	}
	d := dbtest.Open(t, dbURL)
	ring, err := keyring.Open(ctx, d, secret.Random{}, time.Now(), keyring.Config{Secret: master})
	if err != nil {
		t.Fatal(err)
	}
	store := grant.NewStore(grant.Config{Idle: time.Hour}, rotation.Keys{MAC: ring.Key(keyring.RefreshMAC), Derive: ring.Key(keyring.RefreshDerive)},
		func() []byte { return ring.Key(keyring.Request) }, ring.Epoch, secret.Random{})
	for _, text := range given.list {
		code, ok := store.ParseCode(text)
		if !ok {
			t.Fatalf("%s is no code", text)
		}
		err := d.Write(ctx, func(tx *db.Tx) error {
			g, how, err := store.Exchange(tx, grant.Exchanged{Code: code, Client: given.client, Redirect: benchRedirect, Verifier: benchVerifier}, time.Now())
			if how != grant.Started || !g.Owner.Active || g.Owner.Email == "" {
				t.Errorf("%s, of %+v", how, g.Owner)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// What an exchange is held against does the same work: the server's statement, which starts a grant each time.
func TestPgbenchExchangesToo(t *testing.T) {
	head, _, _ := strings.Cut(grant.ExchangeSQL, "$")
	if s := exchangeScript(); !strings.Contains(s, strings.Join(strings.Fields(head), " ")) || strings.Contains(s, "$") {
		t.Errorf("the script is\n%s", s)
	}
	ctx, dbURL := context.Background(), dbtest.EmptyPostgres(t)
	if _, err := fill(ctx, dbURL, master, 5, 0); err != nil {
		t.Fatal(err)
	}
	p, err := newExchanges(ctx, dbURL, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if rate, err := p.exchanges(ctx, 4, time.Second); err != nil || rate == 0 {
		t.Fatalf("%v a second, error %v", rate, err)
	}
	var started, ended int64
	if err := dbtest.Open(t, dbURL).Read(ctx, func(tx *db.Tx) error {
		return tx.QueryRow(`SELECT COUNT(started_at), COUNT(ended_at) FROM client_grant`).Scan(&started, &ended)
	}); err != nil || started == 0 || ended != 0 {
		t.Errorf("%d started, %d ended, error %v", started, ended, err)
	}
}
