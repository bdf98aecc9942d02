package outbound

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Webhook posts signed messages to one place (standardwebhooks.com).
type Webhook struct {
	target *url.URL
	key    []byte
	client *http.Client
}

// ParseWebhookSecret reads a secret: whsec_ and 24 to 64 bytes in base64.
func ParseWebhookSecret(secret string) ([]byte, error) {
	text, ok := strings.CutPrefix(secret, "whsec_")
	key, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil || len(key) < 24 || len(key) > 64 {
		return nil, errors.New("it is not whsec_ and 24 to 64 bytes in base64")
	}
	return key, nil
}

// OpenWebhook returns the webhook at an https URL, or at an http one of this
// machine. It follows no redirect, goes through no proxy, and connects to no
// address that serves machines alone, such as a cloud's metadata, nor to this
// machine unless the URL names that.
func OpenWebhook(raw, secret string) (*Webhook, error) {
	u, err := Parse(raw)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(u.Scheme, "http") || u.User != nil || u.Fragment != "" {
		return nil, errors.New("it must be an https URL without a user name or a fragment")
	}
	key, err := ParseWebhookSecret(secret)
	if err != nil {
		return nil, err
	}
	named, err := netip.ParseAddr(u.Hostname())
	loopback := err == nil && named.IsLoopback()
	dialer := &net.Dialer{Timeout: sendTime, Control: func(_, address string, _ syscall.RawConn) error { return mayDial(address, loopback) }}
	client := unled(&http.Transport{DialContext: dialer.DialContext, MaxIdleConns: 1}, u)
	client.Timeout = sendTime
	return &Webhook{target: u, key: key, client: client}, nil
}

// mayDial looks at the address that is really connected to, after the name was
// resolved.
func mayDial(address string, loopback bool) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	a := at.Addr().Unmap().WithZone("")
	switch {
	case a.IsLoopback() && !loopback, a.IsUnspecified(), a.IsMulticast(), a.IsLinkLocalUnicast(), a == netip.AddrFrom4([4]byte{255, 255, 255, 255}),
		a == netip.MustParseAddr("fd00:ec2::254"), a == netip.MustParseAddr("100.100.100.200"):
		return fmt.Errorf("its name resolves to %s, which nothing is sent to", a)
	}
	return nil
}

// sign returns the headers of a message.
func (w *Webhook) sign(h http.Header, id string, at time.Time, body []byte) {
	stamp := strconv.FormatInt(at.Unix(), 10)
	m := hmac.New(sha256.New, w.key)
	fmt.Fprintf(m, "%s.%s.%s", id, stamp, body)
	h.Set("Webhook-Id", id)
	h.Set("Webhook-Timestamp", stamp)
	h.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(m.Sum(nil)))
}

// Post sends one message. The id stays the same when it is sent again.
func (w *Webhook) Post(ctx context.Context, id string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.target.String(), bytes.NewReader(body))
	if err != nil {
		return errors.New("the request can't be created")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "gatehouse")
	w.sign(req.Header, id, time.Now(), body)
	res, err := w.client.Do(req)
	if err != nil {
		var wrapped *url.Error // says the whole URL, which may hold a key
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return err
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10))
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("%s answered %s", w.target.Host, res.Status)
	}
	return nil
}

// Close gives up what is open.
func (w *Webhook) Close() { w.client.CloseIdleConnections() }
