// Package buckettest runs versitygw, a real server that speaks S3, for tests, behind a proxy that fails at will.
package buckettest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/gatehouse-auth/gatehouse/internal/base/outbound"
	"github.com/gatehouse-auth/gatehouse/internal/test/proctest"
)

// Key and Secret are what the server takes.
const (
	Key    = "gatehouse-tests"
	Secret = "no-secret-but-for-tests-alone"
)

// Server is a server that runs until the test is over, with one bucket.
type Server struct {
	// URL is of the bucket, below the prefix "here", by way of the proxy.
	URL string
	// Dir is where the server keeps the bucket's objects as files.
	Dir string
	// fault is asked first of each request, and answers it, or returns false.
	fault atomic.Pointer[Fault]
}

// Fault answers a request in place of the server, or returns false. forward sends it on, and returns what came back.
type Fault func(w http.ResponseWriter, r *http.Request, forward func() *httptest.ResponseRecorder) bool

// Fail has requests go through f from now on; nil for none.
func (s *Server) Fail(f Fault) {
	if f == nil {
		s.fault.Store(nil)
		return
	}
	s.fault.Store(&f)
}

// program builds the server once, for all tests of a process.
var program = sync.OnceValues(func() (string, error) {
	cmd := exec.Command(proctest.File("scripts/versitygw"))
	out, err := cmd.Output()
	return filepath.Join(strings.TrimSpace(string(out)), "versitygw"), err
})

// Start starts a server. With lock the bucket keeps each object for a day, whoever deletes it.
func Start(t testing.TB, lock bool) *Server {
	t.Helper()
	s, stop, err := Serve(t.TempDir(), lock)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return s
}

// Serve is Start with a folder for the server's files, for those who are no test.
func Serve(root string, lock bool) (s *Server, stop func(), err error) {
	path, err := program()
	if err != nil {
		return nil, nil, fmt.Errorf("scripts/versitygw: %w", err)
	}
	at, end, err := run(path, root)
	if err != nil {
		return nil, nil, err
	}
	if err := makeBucket(at, lock); err != nil {
		end()
		return nil, nil, err
	}
	s = &Server{Dir: filepath.Join(root, "data", "backups")}
	near := httptest.NewServer(s.between(&url.URL{Scheme: "http", Host: at}))
	s.URL = "s3://backups/here?endpoint=" + url.QueryEscape(near.URL)
	return s, func() { near.Close(); end() }, nil
}

// between is the proxy before the server.
func (s *Server) between(far *url.URL) http.Handler {
	proxy := &httputil.ReverseProxy{
		Rewrite:  func(r *httputil.ProxyRequest) { r.SetURL(far); r.Out.Host = r.In.Host }, // the host is signed
		ErrorLog: log.New(io.Discard, "", 0),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f := s.fault.Load()
		if f != nil && (*f)(w, r, func() *httptest.ResponseRecorder {
			answer := httptest.NewRecorder()
			proxy.ServeHTTP(answer, r)
			return answer
		}) {
			return
		}
		proxy.ServeHTTP(w, r)
	})
}

// Open returns the bucket.
func (s *Server) Open(t testing.TB) *outbound.Bucket {
	t.Helper()
	p, err := outbound.ParseBucket(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	b, err := outbound.OpenBucket(p, Key, Secret)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// run starts the program on a free port, and returns its address.
func run(path, root string) (at string, stop func(), err error) {
	var out bytes.Buffer
	dir, meta, versions := filepath.Join(root, "data"), filepath.Join(root, "meta"), filepath.Join(root, "versions")
	for _, d := range []string{dir, meta, versions} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return "", nil, err
		}
	}
	for range 20 {
		at := fmt.Sprintf("127.0.0.1:%d", 20000+mathrand.IntN(12000)) //nolint:gosec // no secret
		//nolint:gosec // ours
		cmd := exec.Command(path, "--port", at, "--quiet", "posix", "--sidecar", meta, "--versioning-dir", versions, dir)
		cmd.Env = []string{"ROOT_ACCESS_KEY_ID=" + Key, "ROOT_SECRET_ACCESS_KEY=" + Secret}
		out.Reset()
		cmd.Stdout, cmd.Stderr = &out, &out
		done, err := proctest.Start(cmd, syscall.SIGKILL)
		if err != nil {
			return "", nil, err
		}
		stop := func() {
			_ = cmd.Process.Kill()
			<-done
		}
		if listens(at, done) {
			return at, stop, nil
		}
		stop()
	}
	return "", nil, fmt.Errorf("versitygw does not start: %s", out.String())
}

// listens waits until the server takes connections, or has ended since the port was another's.
func listens(at string, done <-chan struct{}) bool {
	for range 1200 {
		select {
		case <-done:
			return false
		case <-time.After(50 * time.Millisecond):
		}
		c, err := net.DialTimeout("tcp", at, time.Second)
		if err == nil {
			_ = c.Close()
			return true
		}
	}
	return false
}

func makeBucket(at string, lock bool) error {
	client, err := minio.New(at, &minio.Options{Creds: credentials.NewStaticV4(Key, Secret, ""), Region: "us-east-1"})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := client.MakeBucket(ctx, "backups", minio.MakeBucketOptions{ObjectLocking: lock}); err != nil || !lock {
		return err
	}
	mode, days, unit := minio.Compliance, uint(1), minio.Days
	return client.SetBucketObjectLockConfig(ctx, "backups", &mode, &days, &unit)
}
