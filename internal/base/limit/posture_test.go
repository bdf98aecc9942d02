package limit

import (
	"slices"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/limit/redistest"
)

// RATE-4: a Redis says what it is set up as, whichever kind it is; a user who may only count is not told, and that is no error.
func TestRATE4_WhatARedisSaysOfItself(t *testing.T) {
	s := redistest.Start(t)
	s.Do("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
	p, err := PostureOf(t.Context(), RedisConfig{Addrs: []string{s.Addr()}, Password: redistest.Password}, time.Now)
	if err != nil || p.Policy != "allkeys-lru" || p.Open || p.AppendOnly || len(p.Excess) != 2 || p.Servers != 1 || p.Version == "" || p.Clock.IsZero() {
		t.Errorf("%+v, %v", p, err)
	}
	s.Do("ACL", "SETUSER", "counts", "on", ">word", "resetkeys", "~gatehouse:limit:*", "-@all", "+eval", "+evalsha", "+get", "+set", "+del", "+time", "+select")
	p, err = PostureOf(t.Context(), RedisConfig{Addrs: []string{s.Addr()}, Username: "counts", Password: "word"}, time.Now)
	if err != nil || p.Policy != "" || len(p.Excess) > 0 {
		t.Errorf("who may only count: %+v, %v", p, err)
	}
	if n := s.Do("DBSIZE"); n != ":0" {
		t.Errorf("looking has written: %s", n)
	}
	s.Do("ACL", "SETUSER", "default", "nopass")
	if p, err := PostureOf(t.Context(), RedisConfig{Addrs: []string{s.Addr()}}, time.Now); err != nil || !p.Open {
		t.Errorf("without a password: %+v, %v", p, err)
	}
	_, err = PostureOf(t.Context(), RedisConfig{Addrs: []string{s.Addr()}, Username: "counts", Password: "another"}, time.Now)
	if err == nil || TroubleOf(err) != TroubleLogin {
		t.Errorf("a wrong password: %v", err)
	}
	_, err = PostureOf(t.Context(), RedisConfig{Addrs: []string{"127.0.0.1:1"}}, time.Now)
	if err == nil || TroubleOf(err) != TroubleUnreachable {
		t.Errorf("nobody there: %v", err)
	}
}

// RATE-4: of servers that share the keys, the worst is told.
func TestRATE4_TheWorstOfACluster(t *testing.T) {
	cluster := redistest.Cluster(t)
	var at []string
	for _, s := range cluster {
		s.Do("CONFIG", "SET", "maxmemory-policy", "noeviction")
		at = append(at, s.Addr())
	}
	cluster[1].Do("CONFIG", "SET", "maxmemory-policy", "volatile-ttl")
	p, err := PostureOf(t.Context(), RedisConfig{Addrs: at, Cluster: true, Password: redistest.Password}, time.Now)
	if err != nil || p.Servers != len(cluster) || p.Policy != "volatile-ttl" || !slices.Contains(p.Excess, "read others' keys") {
		t.Errorf("%+v, %v", p, err)
	}
}
