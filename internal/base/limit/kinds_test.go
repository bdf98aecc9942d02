package limit

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/limit/redistest"
)

// exactly asks for one limit 16 times at once, through as many counters as there
// are, and fails if more or fewer got it.
func exactly(t *testing.T, counters ...*Redis) {
	t.Helper()
	for _, limit := range []int{1, 7, 50} {
		claim := Claim{Rule{"api", limit, time.Hour}, fresh()}
		var passed atomic.Int64
		var all sync.WaitGroup
		for i := range 16 {
			all.Go(func() {
				for n := range 5 {
					ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
					s, err := counters[(i+n)%len(counters)].Take(ctx, claim)
					cancel()
					switch {
					case err != nil:
						t.Error(err)
					case s[0].OK:
						passed.Add(1)
					}
				}
			})
		}
		all.Wait()
		if passed.Load() != int64(limit) {
			t.Errorf("%d passed, and %d may", passed.Load(), limit)
		}
	}
}

// TLS-1: over TLS, with a client's certificate; and not with a server that nobody
// vouches for.
func TestTLS1_Redis(t *testing.T) {
	t.Parallel()
	server, ca, cert, key := redistest.TLS(t)
	pem, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	authority := x509.NewCertPool()
	authority.AppendCertsFromPEM(pem)
	own, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	config := func(t *tls.Config) RedisConfig {
		return RedisConfig{Addrs: []string{server.Addr()}, Password: redistest.Password, TLS: t}
	}
	good := &tls.Config{RootCAs: authority, Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS12}
	exactly(t, open(t, config(good)), open(t, config(good)))

	stranger := open(t, config(&tls.Config{Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS12}))
	if err := stranger.probe(t.Context()); err == nil || TroubleOf(err) != TroubleCertificate {
		t.Errorf("a server that nobody vouches for: %v", err)
	}
	name := good.Clone()
	name.ServerName = "redis.acme.org"
	if err := open(t, config(name)).probe(t.Context()); err == nil || TroubleOf(err) != TroubleCertificate {
		t.Errorf("a certificate for another host: %v", err)
	}
	if err := open(t, config(&tls.Config{RootCAs: authority, MinVersion: tls.VersionTLS12})).probe(t.Context()); err == nil {
		t.Error("it is taken without a certificate, so that was no test")
	}
}

// acl is the command in docs/guides/redis.md that makes the user, with the test's
// password, in words.
func acl(t *testing.T, more ...string) []string {
	t.Helper()
	text, err := os.ReadFile("../../../docs/guides/redis.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "ACL SETUSER gatehouse ") {
			words := strings.Fields(line)
			for i, word := range words {
				if word == ">PASSWORD" {
					words[i] = ">" + redistest.Password
				}
			}
			return append(words, more...)
		}
	}
	t.Fatal("docs/guides/redis.md has no ACL")
	return nil
}

// The user of docs/guides/redis.md is enough, and has no more than it needs.
func TestDB2_RedissUser(t *testing.T) {
	server := redistest.Start(t)
	config := RedisConfig{Addrs: []string{server.Addr()}, Username: "gatehouse", Password: redistest.Password, DB: 1}
	words := acl(t)
	server.Do(words...)
	r := open(t, config)
	exactly(t, r)
	if err := r.GiveBack(t.Context(), Claim{Rule{"login", 5, time.Minute}, fresh()}); err != nil {
		t.Fatal(err)
	}
	for i, word := range words {
		if !strings.HasPrefix(word, "+") || word == "+info" { // which the doctor alone asks
			continue
		}
		server.Do("ACL", "DELUSER", "gatehouse") // and ends its connections
		server.Do("SCRIPT", "FLUSH")
		server.Do(append(append([]string{}, words[:i]...), words[i+1:]...)...)
		fewer := open(t, config)
		claim := Claim{Rule{"login", 5, time.Minute}, fresh()}
		_, err := fewer.Take(t.Context(), claim)
		if err == nil {
			err = fewer.GiveBack(t.Context(), claim)
		}
		if err == nil || TroubleOf(err) != TroubleRights {
			t.Errorf("without %s: %v", word, err)
		}
	}
}

// A Cluster of three: keys lie on all of them, and several in one call too.
func TestRATE2_ACluster(t *testing.T) {
	t.Parallel()
	nodes := redistest.Cluster(t)
	for _, node := range nodes {
		node.Do(acl(t, "+cluster|slots", "+cluster|shards", "+readonly", "+command", "+ping")...)
	}
	config := RedisConfig{Addrs: []string{nodes[0].Addr(), nodes[1].Addr()}, Cluster: true, Username: "gatehouse", Password: redistest.Password}
	r := open(t, config)
	exactly(t, r, open(t, config), open(t, RedisConfig{Addrs: []string{nodes[2].Addr()}, Cluster: true, Password: redistest.Password}))
	var claims []Claim
	for range 30 {
		claims = append(claims, Claim{Rule{"api", 1, time.Hour}, fresh()})
	}
	for i := range 2 {
		for _, state := range take(t, r, claims...) {
			if state.OK != (i == 0) {
				t.Fatalf("round %d: %+v", i, state)
			}
		}
	}
	for i, node := range nodes {
		if node.Do("DBSIZE") == ":0" {
			t.Errorf("nothing lies on node %d", i)
		}
	}
	if err := open(t, RedisConfig{Addrs: []string{nodes[0].Addr()}, Password: redistest.Password}).everywhere(t); TroubleOf(err) != TroubleKind {
		t.Errorf("a Cluster that is taken for one server: %v", err)
	}
}

// everywhere takes keys of many slots, and returns the first error.
func (r *Redis) everywhere(t *testing.T) error {
	for range 100 {
		if _, err := r.Take(t.Context(), Claim{Rule{"api", 1, time.Hour}, fresh()}); err != nil {
			return err
		}
	}
	t.Fatal("one node takes every key")
	return nil
}

// RATE-4: when the master dies the Sentinel makes the replica the master, with what
// had been counted.
func TestRATE4_ASentinel(t *testing.T) {
	t.Parallel()
	master, replica, sentinel := redistest.Sentinel(t)
	s := shared(t, open(t, RedisConfig{
		Addrs: []string{sentinel.Addr()}, Master: "gatehouse", Password: redistest.Password, SentinelPassword: redistest.Password,
	}), 1)
	begin(t, s)
	until(t, s, "it does not begin to count", func() bool { return s.Away() == "" })
	var claim Claim
	until(t, s, "Redis does not count", func() bool {
		before := s.Local()
		claim = Claim{Rule{"login", 5, time.Hour}, fresh()}
		for range 5 {
			take(t, s, claim)
		}
		return s.Local() == before
	})
	master.Do("WAIT", "1", "10000") // for the replica to have it all
	master.Kill()
	if state := take(t, s, claim)[0]; state.OK {
		t.Fatalf("the master's death gives a new limit: %+v", state)
	}
	until(t, s, "the replica does not become the master", func() bool { return s.Away() == "" && replica.Do("ROLE") == "*3" })
	until(t, s, "the new master does not count", func() bool {
		before := s.Local()
		state := take(t, s, claim)[0]
		if state.OK {
			t.Fatalf("the new master gives a new limit: %+v", state)
		}
		return s.Local() == before
	})
	if said := replica.Do("EXISTS", keyOfClaim(claim)[0]); said != ":1" {
		t.Error(fmt.Sprint("it was not the new master that counted: ", said))
	}
}
