package outbound

import (
	"context"
	"fmt"
	"io"
	"net/http"
)

// mostGot is the longest document that a Getter reads, in bytes.
const mostGot = 64 << 10

// Getter reads what applications of the operator's publish, each at an address that the operator has registered. It goes where a [Poster]
// goes.
type Getter struct{ transport *http.Transport }

// NewGetter returns one; loopback is as for [NewPoster].
func NewGetter(loopback bool) *Getter { return &Getter{NewPoster(loopback).transport} }

// Get returns what is there: an answer other than 200, a redirect, and one of over 64 KiB are errors.
func (g *Getter) Get(ctx context.Context, raw string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, postTime)
	defer cancel()
	header := http.Header{"Accept": {"application/jwk-set+json, application/json"}}
	res, err := send(ctx, g.transport, http.MethodGet, raw, nil, header)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the answer is %s", res.Status)
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, mostGot+1))
	if err == nil && len(b) > mostGot {
		err = fmt.Errorf("the answer has over %d bytes", mostGot)
	}
	return b, err
}
