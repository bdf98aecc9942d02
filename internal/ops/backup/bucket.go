package backup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/outbound"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// Bucket is a store in a bucket of a server that speaks S3.
type Bucket struct {
	name   string
	bucket *outbound.Bucket
	// sleep waits between two tries.
	sleep func(context.Context, time.Duration) error
}

// NewBucket returns the store in a bucket.
func NewBucket(name string, b *outbound.Bucket) *Bucket { return &Bucket{name, b, Sleep} }

// Name returns what the settings call it, without its parameters.
func (b *Bucket) Name() string { return b.name }

// betweenReads are the times between the tries of what may be asked twice. A put is tried again by its caller.
var betweenReads = []time.Duration{time.Second, 4 * time.Second, 15 * time.Second}

// again asks until there is an answer, or no other is to be had.
func (b *Bucket) again(ctx context.Context, ask func() error) error {
	for try := 0; ; try++ {
		err := ask()
		if err == nil || try == len(betweenReads) || ctx.Err() != nil || errors.Is(err, outbound.ErrNoObject) || errors.Is(err, outbound.ErrObjectTooLong) {
			return err
		}
		var refusal *outbound.BucketRefusal
		if errors.As(err, &refusal) {
			return err
		}
		if err := b.sleep(ctx, betweenReads[try]); err != nil {
			return err
		}
	}
}

// Put writes an object by one request. What is there already is right if it is the same: the answer may have been lost.
func (b *Bucket) Put(ctx context.Context, name string, data []byte) error {
	err := b.bucket.Put(ctx, name, data)
	if !errors.Is(err, outbound.ErrObjectExists) {
		return b.refused(err)
	}
	there, err := b.Get(ctx, name, int64(len(data)))
	switch {
	case errors.Is(err, errTooLong), err == nil && !secret.Equal(there, data):
		return errExists
	case errors.Is(err, ErrMissing): // it is deleted at the moment
		return errors.New("something had the name, and is gone")
	}
	return err
}

// Get reads an object.
func (b *Bucket) Get(ctx context.Context, name string, most int64) (data []byte, err error) {
	err = b.again(ctx, func() error { data, err = b.bucket.Get(ctx, name, most); return err })
	switch {
	case errors.Is(err, outbound.ErrNoObject):
		return nil, ErrMissing
	case errors.Is(err, outbound.ErrObjectTooLong):
		return nil, errTooLong
	case err != nil:
		return nil, b.refused(err)
	}
	return data, nil
}

// List lists the objects below a prefix.
func (b *Bucket) List(ctx context.Context, prefix string) ([]Object, error) {
	var list []outbound.Object
	err := b.again(ctx, func() (err error) { list, err = b.bucket.List(ctx, prefix); return err })
	if err != nil {
		return nil, b.refused(err)
	}
	out := make([]Object, len(list))
	for i, o := range list {
		out[i] = Object(o)
	}
	return out, nil
}

// Delete deletes an object. A refusal is store_keeps: buckets can lock what they hold, which is their owner's will.
func (b *Bucket) Delete(ctx context.Context, name string) error {
	err := b.again(ctx, func() error { return b.bucket.Delete(ctx, name) })
	var refusal *outbound.BucketRefusal
	if errors.As(err, &refusal) && refusal.Code != "NoSuchBucket" {
		return storeKeeps(b.name).Because(err)
	}
	return b.refused(err)
}

// storeKeeps is for a store that deletes nothing, or nothing yet.
func storeKeeps(name string) *fault.Error {
	return fault.New(fault.Conflict, "store_keeps", fmt.Sprintf(
		"%s keeps what was to be deleted: it locks what it holds, or its key may not delete. Such backups stay until it lets them go.", name))
}

// mends say what to change about a refusal, by S3's code.
var mends = map[string]string{
	"NoSuchBucket":                 "There is no such bucket: make it, or mend its name in BACKUP_DIR.",
	"InvalidAccessKeyId":           "The server does not know BACKUP_S3_ACCESS_KEY_ID.",
	"SignatureDoesNotMatch":        "BACKUP_S3_SECRET_ACCESS_KEY is not that of BACKUP_S3_ACCESS_KEY_ID; or region= in BACKUP_DIR is wrong.",
	"AuthorizationHeaderMalformed": "region= in BACKUP_DIR is not the bucket's.",
	"PermanentRedirect":            "The bucket is elsewhere: mend region= or endpoint= in BACKUP_DIR.",
	"TemporaryRedirect":            "The bucket is elsewhere: mend region= or endpoint= in BACKUP_DIR.",
	"RequestTimeTooSkewed":         "The clock of this machine, or of the server, is wrong.",
	"NotImplemented":               "The server can't do what backups need: to put an object only where none is (If-None-Match).",
}

// refused says what to do about an answer that no later try mends.
func (b *Bucket) refused(err error) error {
	var refusal *outbound.BucketRefusal
	if !errors.As(err, &refusal) {
		return err
	}
	if refusal.Status == 507 || refusal.Code == "QuotaExceeded" {
		return fault.New(fault.Unavailable, "no_room", fmt.Sprintf("There is no room in %s. Make some, or raise its quota.", b.name)).Because(err)
	}
	mend := mends[refusal.Code]
	if mend == "" {
		mend = "Its key must be allowed to list the bucket, and to put, get and delete objects below the prefix."
	}
	return fault.New(fault.Denied, "store_refused", fmt.Sprintf("%s refuses what backups need (%d %s). %s", b.name, refusal.Status, clip(refusal.Code), mend)).
		Because(err)
}
