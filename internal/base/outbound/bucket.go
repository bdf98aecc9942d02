package outbound

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

const (
	// bucketTime bounds one request to a bucket, with a body of 64 MiB in it.
	bucketTime = 5 * time.Minute
	// mostFromBucket bounds an answer: an object, or a thousand names of objects.
	mostFromBucket = 65 << 20
	// mostListed bounds what a bucket lists.
	mostListed = 1_000_000
)

// What a bucket answers of an object.
var (
	ErrNoObject      = errors.New("it is missing")
	ErrObjectExists  = errors.New("something has the name already")
	ErrObjectTooLong = errors.New("it is longer than it should be")
)

// BucketRefusal is an answer of a bucket's that no later try mends.
type BucketRefusal struct {
	Status int
	// Code is S3's, such as AccessDenied; Message what the server says of it.
	Code, Message string
}

func (r *BucketRefusal) Error() string {
	return fmt.Sprintf("the server answers %d %s: %s", r.Status, r.Code, r.Message)
}

// BucketPlace is where a bucket is.
type BucketPlace struct {
	Bucket, Prefix, Region string
	// Endpoint is the server, with scheme and host.
	Endpoint *url.URL
	// PathStyle puts the bucket's name into the path instead of the host.
	PathStyle bool
	// CA is the file with the authority that the server's certificate must come from; empty for the system's.
	CA string
}

// The names that a bucket and what is before a name may have: such that nothing in them means anything else in a URL.
var (
	bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	bucketPath = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*$`)
	regionName = regexp.MustCompile(`^[a-z0-9-]{1,40}$`)
)

// ParseBucket checks where a bucket is, without going there:
//
//	s3://BUCKET/PREFIX?endpoint=https://HOST&region=REGION&path_style=1&ca=PATH
//
// All but the bucket may be left out. Without an endpoint it is Amazon's of the region. http:// is taken for loopback only.
func ParseBucket(raw string) (*BucketPlace, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "s3" || u.User != nil || u.Fragment != "" || u.Port() != "" {
		return nil, errors.New("it is not s3://BUCKET/PREFIX")
	}
	p := &BucketPlace{Bucket: u.Host, Prefix: strings.Trim(u.Path, "/"), Region: "us-east-1"}
	if !bucketName.MatchString(p.Bucket) || strings.Contains(p.Bucket, "..") {
		return nil, errors.New("the name of the bucket can't be one")
	}
	if p.Prefix != "" && !bucketPath.MatchString(p.Prefix) {
		return nil, errors.New("the prefix has something else than letters, digits, and - _ . between slashes")
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, errors.New("what is behind the question mark can't be read")
	}
	for name, values := range q {
		if len(values) > 1 {
			return nil, fmt.Errorf("%s= stands there twice", name)
		}
		switch v := values[0]; name {
		case "region":
			if !regionName.MatchString(v) {
				return nil, errors.New("region= is none")
			}
			p.Region = v
		case "ca":
			p.CA = v
		case "endpoint", "path_style":
		default:
			return nil, errors.New("it has something else than endpoint=, region=, path_style= and ca=")
		}
	}
	if err := p.server(q.Get("endpoint")); err != nil {
		return nil, err
	}
	switch q.Get("path_style") {
	case "":
	case "0", "1":
		p.PathStyle = q.Get("path_style") == "1"
	default:
		return nil, errors.New("path_style= is neither 0 nor 1")
	}
	if !p.PathStyle && (net.ParseIP(p.Endpoint.Hostname()) != nil || strings.Contains(p.Bucket, ".")) {
		return nil, errors.New("with an address for a host, or a dot in the bucket's name, it needs path_style=1")
	}
	return p, nil
}

// server reads the endpoint.
func (p *BucketPlace) server(text string) error {
	if text == "" {
		text = "https://s3." + p.Region + ".amazonaws.com"
	} else {
		p.PathStyle = true
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" ||
		u.RawQuery != "" || u.Fragment != "" {
		return errors.New("endpoint= is not https://HOST or https://HOST:PORT")
	}
	if a := net.ParseIP(u.Hostname()); u.Scheme == "http" && u.Hostname() != "localhost" && (a == nil || !a.IsLoopback()) {
		return errors.New("http:// would send it unencrypted to another machine")
	}
	// As the library will: it leaves out ports that go without saying.
	if u.Scheme == "https" && u.Port() == "443" || u.Scheme == "http" && u.Port() == "80" {
		u.Host = strings.TrimSuffix(u.Host, ":"+u.Port())
	}
	p.Endpoint = &url.URL{Scheme: u.Scheme, Host: u.Host}
	return nil
}

// Bucket keeps objects on a server that speaks S3. Each is put by one request, so nothing of one that was cut off stays behind.
type Bucket struct {
	place  *BucketPlace
	client minio.Core
	within time.Duration
}

// OpenBucket returns the bucket at a place, without going there.
func OpenBucket(p *BucketPlace, key, secret string) (*Bucket, error) {
	q := url.Values{}
	if p.CA != "" {
		q.Set("ca", p.CA)
	}
	roots, err := authorities(&url.URL{RawQuery: q.Encode()})
	if err != nil {
		return nil, err
	}
	at := *p.Endpoint
	lookup := minio.BucketLookupPath
	if !p.PathStyle {
		at.Host, lookup = p.Bucket+"."+at.Host, minio.BucketLookupDNS
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute, DisableCompression: true, ResponseHeaderTimeout: bucketTime,
	}
	client, err := minio.NewCore(p.Endpoint.Host, &minio.Options{
		Creds: credentials.NewStaticV4(key, secret, ""), Secure: p.Endpoint.Scheme == "https", Region: p.Region, BucketLookup: lookup,
		Transport: bounded{pin(transport, &at), mostFromBucket}, MaxRetries: 1,
	})
	if err != nil {
		return nil, err
	}
	client.SetS3EnableDualstack(false) // another host than is set
	return &Bucket{place: p, client: *client, within: bucketTime}, nil
}

// Within sets how long a request may take.
func (b *Bucket) Within(d time.Duration) { b.within = d }

func (b *Bucket) key(name string) string {
	if b.place.Prefix == "" {
		return name
	}
	return b.place.Prefix + "/" + name
}

// Put writes an object. If something has the name, it is ErrObjectExists, and that stays as it is.
func (b *Bucket) Put(ctx context.Context, name string, data []byte) error {
	ctx, cancel := context.WithTimeout(ctx, b.within)
	defer cancel()
	// Buckets that lock what they hold ask for a checksum; this one all servers know.
	opts := minio.PutObjectOptions{ContentType: "application/octet-stream", DisableMultipart: true, SendContentMd5: true}
	opts.SetMatchETagExcept("*")
	_, err := b.client.Client.PutObject(ctx, b.place.Bucket, b.key(name), bytes.NewReader(data), int64(len(data)), opts)
	return answered(err)
}

// Get reads an object of at most so many bytes.
func (b *Bucket) Get(ctx context.Context, name string, most int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, b.within)
	defer cancel()
	body, info, _, err := b.client.GetObject(ctx, b.place.Bucket, b.key(name), minio.GetObjectOptions{})
	if err != nil {
		return nil, answered(err)
	}
	defer body.Close()
	if info.Size > most {
		return nil, ErrObjectTooLong
	}
	data, err := io.ReadAll(io.LimitReader(body, most+1))
	if err == nil && int64(len(data)) > most {
		err = ErrObjectTooLong
	}
	return data, err
}

// Object is something in a bucket.
type Object struct {
	Name string
	Size int64
	Time time.Time // when it was written, by the server's clock
}

// List returns all objects whose names begin so.
func (b *Bucket) List(ctx context.Context, prefix string) ([]Object, error) {
	ctx, cancel := context.WithTimeout(ctx, b.within)
	defer cancel()
	var out []Object
	before := b.key("")
	for o := range b.client.ListObjectsIter(ctx, b.place.Bucket, minio.ListObjectsOptions{Prefix: b.key(prefix), Recursive: true}) {
		name, ours := strings.CutPrefix(o.Key, before)
		switch {
		case o.Err != nil:
			return nil, answered(o.Err)
		case !ours || !strings.HasPrefix(name, prefix):
			return nil, errors.New("the server lists what was not asked for")
		case len(out) == mostListed:
			return nil, fmt.Errorf("the server lists over %d objects", mostListed)
		}
		out = append(out, Object{Name: name, Size: o.Size, Time: o.LastModified})
	}
	return out, ctx.Err()
}

// Delete deletes an object; it is no error if there is none.
func (b *Bucket) Delete(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, b.within)
	defer cancel()
	err := answered(b.client.RemoveObject(ctx, b.place.Bucket, b.key(name), minio.RemoveObjectOptions{}))
	if errors.Is(err, ErrNoObject) {
		return nil
	}
	return err
}

// answered says what an error of the library's means.
func answered(err error) error {
	var r minio.ErrorResponse
	if err == nil || !errors.As(err, &r) || r.StatusCode == 0 {
		var u *url.Error // whose text holds the URL
		if errors.As(err, &u) {
			return u.Err
		}
		return err
	}
	switch {
	case r.Code == minio.NoSuchKey:
		return ErrNoObject
	case r.StatusCode == http.StatusPreconditionFailed:
		return ErrObjectExists
	case r.StatusCode == http.StatusRequestTimeout, r.StatusCode == http.StatusConflict, r.StatusCode == http.StatusTooManyRequests,
		r.StatusCode >= 500 && r.StatusCode != http.StatusNotImplemented && r.StatusCode != http.StatusInsufficientStorage:
		return fmt.Errorf("the server answers %d %s", r.StatusCode, r.Code)
	}
	return &BucketRefusal{Status: r.StatusCode, Code: r.Code, Message: fmt.Sprintf("%.200q", r.Message)}
}
