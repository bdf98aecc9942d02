package openid

import (
	"context"
	"errors"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/grant"
)

// Push keeps what an application asks for, ahead of the browser (RFC 9126), and returns the request_uri that the browser brings in its
// place within [grant.PushedLife]. What is wrong with it is a fault in OAuth's words.
func (f *Authorize) Push(ctx context.Context, c client.Client, in map[string]string) (uri string, err error) {
	ctx, run := f.Count.Begin(ctx, "push")
	uri, err = f.push(ctx, c, in)
	return uri, run.End(err)
}

func (f *Authorize) push(ctx context.Context, c client.Client, in map[string]string) (uri string, err error) {
	if in["request_uri"] != "" {
		return "", fault.New(fault.Invalid, "invalid_request", "A request that is pushed has no request_uri: the answer is one.")
	}
	r, err := f.read(ctx, in, c)
	var sealed string
	if err == nil {
		sealed, err = seal(f.Random, f.Key(), r)
	}
	var refused *Refused
	if errors.As(err, &refused) {
		return "", fault.New(fault.Invalid, refused.Code, refused.Description+".")
	}
	if err != nil {
		return "", err
	}
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		uri = f.Grants.Push(tx, c.ID, sealed, f.Now())
		return nil
	})
	return uri, err
}

// pushed reads a request that was pushed. What else stands in the address does not count (RFC 9126 section 4).
func (f *Authorize) pushed(ctx context.Context, c client.Client, uri string) (r Request, err error) {
	var (
		sealed string
		row    []byte
	)
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		sealed, row, err = grant.Pushed(tx, c.ID, uri, f.Now())
		return err
	})
	if errors.Is(err, grant.ErrNotPushed) {
		err = errRequestOver
	}
	if err != nil {
		return r, err
	}
	if r, err = unseal(f.Key(), sealed, f.Now()); err != nil {
		return r, err
	}
	r.Pushed = row
	if !c.Redirects(r.Redirect) { // it was changed meanwhile
		return r, errRedirect
	}
	return r, nil
}
