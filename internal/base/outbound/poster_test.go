package outbound

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A poster goes where it is told and nowhere else: not to this machine unless it may, not to where a redirect leads, nor to a cloud's metadata.
func TestOIDC_BackChannel_APosterGoesNowhereElse(t *testing.T) {
	var hits atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	}))
	defer s.Close()
	ctx, form := context.Background(), url.Values{"logout_token": {"x"}}
	p := NewPoster(true)
	defer p.Close()
	if status, err := p.Post(ctx, s.URL+"/a?key=hidden", form); err != nil || status != 307 || hits.Load() != 1 {
		t.Errorf("%d, %v, %d requests", status, err, hits.Load())
	}
	strict := NewPoster(false)
	defer strict.Close()
	for _, raw := range []string{
		s.URL, strings.Replace(s.URL, "127.0.0.1", "localhost", 1), "http://169.254.169.254/", "http://0.0.0.0:1/", "http://[fe80::1]/", "ftp://x/", "x", "http://",
		"http://me@127.0.0.1/", "http://[::ffff:127.0.0.1]:1/", "http://100.100.100.200/",
	} {
		if status, err := strict.Post(ctx, raw, form); err == nil {
			t.Errorf("%s: %d", raw, status)
		}
	}
	if hits.Load() != 1 {
		t.Errorf("%d requests", hits.Load())
	}
	s.Close()
	if _, err := p.Post(ctx, s.URL+"/a?key=hidden", form); err == nil || strings.Contains(err.Error(), "hidden") {
		t.Errorf("%v", err)
	}
}

// An answer without an end is not read to its end, and one that a stranger signs is none.
func TestOIDC_BackChannel_AnswersOfAnyKind(t *testing.T) {
	endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for n := 0; n < 1<<20; n++ {
			if _, err := io.WriteString(w, strings.Repeat("x", 1024)); err != nil {
				return
			}
		}
	}))
	defer endless.Close()
	p := NewPoster(true)
	defer p.Close()
	began := time.Now()
	if status, err := p.Post(context.Background(), endless.URL, url.Values{}); err != nil || status != 200 {
		t.Errorf("%d, %v after %s", status, err, time.Since(began))
	}
	stranger := httptest.NewTLSServer(http.NotFoundHandler())
	defer stranger.Close()
	if status, err := p.Post(context.Background(), stranger.URL, url.Values{}); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("%d, %v", status, err)
	}
}
