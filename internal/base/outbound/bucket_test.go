package outbound_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/outbound"
	"github.com/gatehouse-auth/gatehouse/internal/base/outbound/buckettest"
)

func TestParseBucket(t *testing.T) {
	for raw, want := range map[string]string{
		"s3://backups":                                                   "https://s3.us-east-1.amazonaws.com backups  us-east-1 false",
		"s3://backups/a/b/?region=eu-central-1":                          "https://s3.eu-central-1.amazonaws.com backups a/b eu-central-1 false",
		"s3://backups/a?endpoint=https://minio.example:9000":             "https://minio.example:9000 backups a us-east-1 true",
		"s3://backups?endpoint=https://r2.example:443&path_style=0":      "https://r2.example backups  us-east-1 false",
		"s3://back.ups?endpoint=http://127.0.0.1:1&region=garage":        "http://127.0.0.1:1 back.ups  garage true",
		"s3://backups?endpoint=http%3A%2F%2Flocalhost%3A9000&ca=/ca.pem": "http://localhost:9000 backups  us-east-1 true",
	} {
		p, err := outbound.ParseBucket(raw)
		if err != nil {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		if got := fmt.Sprint(p.Endpoint, " ", p.Bucket, " ", p.Prefix, " ", p.Region, " ", p.PathStyle); got != want {
			t.Errorf("%s: %s, want %s", raw, got, want)
		}
	}
	for _, raw := range []string{
		"", "s3://", "s3:///a", "https://backups", "s3://Backups", "s3://key:secret@backups", "s3://backups:1", "s3://backups#a", "s3://b..b", "s3://backups/../a",
		"s3://backups/a/../b", "s3://backups/a//b", "s3://backups/a b", "s3://backups?endpoint=http://minio.example", "s3://backups?endpoint=minio.example",
		"s3://backups?endpoint=https://a:b@minio.example", "s3://backups?endpoint=https://minio.example/x", "s3://backups?region=a%2Fb", "s3://backups?other=1",
		"s3://backups?path_style=2", "s3://back.ups", "s3://backups?endpoint=https://127.0.0.1&path_style=0", "s3://backups?region=a&region=b", "s3://backups?%zz",
		"s3://backups?endpoint=https://minio.example?x=1",
	} {
		if p, err := outbound.ParseBucket(raw); err == nil {
			t.Errorf("%q is taken as %+v", raw, p)
		}
	}
}

func TestABucketKeepsObjects(t *testing.T) {
	b := buckettest.Start(t, false).Open(t)
	ctx := t.Context()
	if _, err := b.Get(ctx, "backup/none", 10); !errors.Is(err, outbound.ErrNoObject) {
		t.Errorf("what is not there: %v", err)
	}
	if list, err := b.List(ctx, "backup/"); err != nil || len(list) != 0 {
		t.Errorf("an empty bucket lists %v, %v", list, err)
	}
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<18) // 4 MiB
	if err := b.Put(ctx, "backup/one", data); err != nil {
		t.Fatal(err)
	}
	if err := b.Put(ctx, "backup/one", []byte("other")); !errors.Is(err, outbound.ErrObjectExists) {
		t.Errorf("over another: %v", err)
	}
	if got, err := b.Get(ctx, "backup/one", int64(len(data))); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if _, err := b.Get(ctx, "backup/one", int64(len(data))-1); !errors.Is(err, outbound.ErrObjectTooLong) {
		t.Errorf("one byte too long: %v", err)
	}
	if err := b.Put(ctx, "other", []byte("x")); err != nil {
		t.Fatal(err)
	}
	list, err := b.List(ctx, "backup/")
	if err != nil || len(list) != 1 || list[0].Name != "backup/one" || list[0].Size != int64(len(data)) || time.Since(list[0].Time) > time.Hour {
		t.Errorf("%v, %v", list, err)
	}
	for range 2 { // again is no error
		if err := b.Delete(ctx, "backup/one"); err != nil {
			t.Error(err)
		}
	}
	if _, err := b.Get(ctx, "backup/one", 10); !errors.Is(err, outbound.ErrNoObject) {
		t.Errorf("what was deleted: %v", err)
	}
}

// A page of a list has a thousand names.
func TestABucketListsAllPages(t *testing.T) {
	b := buckettest.Start(t, false).Open(t)
	const many = 1203
	for i := range many {
		if err := b.Put(t.Context(), fmt.Sprintf("backup/%05d", i), []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	list, err := b.List(t.Context(), "backup/")
	if err != nil || len(list) != many || !slices.IsSortedFunc(list, func(a, b outbound.Object) int { return strings.Compare(a.Name, b.Name) }) {
		t.Errorf("%d objects, %v", len(list), err)
	}
}

func TestABucketRefuses(t *testing.T) {
	s := buckettest.Start(t, false)
	p, err := outbound.ParseBucket(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := *p
	elsewhere.Bucket = "nobodys"
	for name, c := range map[string]struct {
		place       *outbound.BucketPlace
		key, secret string
		code        string
	}{
		"another key":    {p, "other", buckettest.Secret, "XAdminUserNotFound"},
		"another secret": {p, buckettest.Key, "other", "SignatureDoesNotMatch"},
		"no such bucket": {&elsewhere, buckettest.Key, buckettest.Secret, "NoSuchBucket"},
	} {
		b, err := outbound.OpenBucket(c.place, c.key, c.secret)
		if err != nil {
			t.Fatal(err)
		}
		_, getting := b.Get(t.Context(), "a", 10)
		_, listing := b.List(t.Context(), "a/")
		for what, err := range map[string]error{
			"put": b.Put(t.Context(), "a", []byte("x")), "get": getting, "list": listing, "delete": b.Delete(t.Context(), "a"),
		} {
			var r *outbound.BucketRefusal
			if !errors.As(err, &r) || r.Code != c.code {
				t.Errorf("%s, %s: %v", name, what, err)
			}
			if err != nil && strings.Contains(err.Error(), buckettest.Secret) {
				t.Errorf("%s, %s: the secret is told", name, what)
			}
		}
	}
}

// What a server that lies, stalls or dies can do: nothing of it is taken for what it is not.
func TestABucketThatLies(t *testing.T) {
	s := buckettest.Start(t, false)
	b := s.Open(t)
	if err := b.Put(t.Context(), "backup/one", []byte("0123456789")); err != nil {
		t.Fatal(err)
	}
	get := func() error { _, err := b.Get(t.Context(), "backup/one", 10); return err }
	list := func() error { _, err := b.List(t.Context(), "backup/"); return err }
	answer := func(status int, body string) buckettest.Fault {
		return func(w http.ResponseWriter, _ *http.Request, _ func() *httptest.ResponseRecorder) bool {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
			return true
		}
	}
	cut := func(w http.ResponseWriter, _ *http.Request, forward func() *httptest.ResponseRecorder) bool {
		a := forward()
		w.Header().Set("Content-Length", fmt.Sprint(a.Body.Len()))
		w.Header().Set("Last-Modified", a.Header().Get("Last-Modified"))
		_, _ = w.Write(a.Body.Bytes()[:a.Body.Len()/2])
		panic(http.ErrAbortHandler)
	}
	const page = `<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>a</NextContinuationToken>%s</ListBucketResult>`
	b.Within(2 * time.Second)
	for name, c := range map[string]struct {
		fault buckettest.Fault
		call  func() error
	}{
		"an object cut off":             {cut, get},
		"a list cut off":                {cut, list},
		"an object without end":         {answer(200, strings.Repeat("x", 1<<20)), get},
		"names that were not asked for": {answer(200, `<ListBucketResult><Contents><Key>here/other/one</Key></Contents></ListBucketResult>`), list},
		"names outside the prefix":      {answer(200, `<ListBucketResult><Contents><Key>../backup/one</Key></Contents></ListBucketResult>`), list},
		"a list without end":            {answer(200, fmt.Sprintf(page, "")), list},
		"a list that is no XML":         {answer(200, "it works!"), list},
		"a page of HTML":                {answer(500, "<html><body>bad gateway"), get},
		"a redirect":                    {answer(307, ""), get},
		"nothing at all until it is late": {func(_ http.ResponseWriter, r *http.Request, _ func() *httptest.ResponseRecorder) bool {
			<-r.Context().Done()
			return true
		}, get},
	} {
		s.Fail(c.fault)
		if err := c.call(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	s.Fail(nil)
	if err := get(); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
