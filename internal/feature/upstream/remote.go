package upstream

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/outbound"
)

// The faults of a provider. What exactly is wrong is for the log, and for the metrics: see [Reason].
var (
	// ErrAway is for one that can't be reached.
	ErrAway = fault.New(fault.Unavailable, "provider_unavailable",
		"The other provider can't be reached at the moment. Please try again in a minute, or sign in in another way.")
	// ErrAnswer is for an answer that is not believed.
	ErrAnswer = fault.New(fault.Denied, "provider_answer_refused",
		"What the other provider answered does not fit to what was asked for, so nobody was signed in. Please try again from the sign-in page.")
	// ErrNotAllowed is for somebody of an organisation that is not among those that may sign in.
	ErrNotAllowed = fault.New(fault.Denied, "organisation_not_allowed",
		"Your account at the other provider is none of an organisation whose people may sign in here. Please choose another account there.")
	// ErrDenied is for who said no there.
	ErrDenied = fault.New(fault.Denied, "provider_denied", "The sign-in at the other provider was not finished, so nobody was signed in.")
)

// Reason is why an answer is not believed: an outcome of the metrics.
type Reason string

func (r Reason) Error() string { return string(r) }

// Reasons are all of them.
func Reasons() []string {
	return []string{
		string(wrongIssuer), string(tokenRefused), string(noIDToken), string(wrongToken), string(wrongAudience), string(wrongNonce), string(wrongTime),
		string(wrongSubject), string(wrongHash), string(noPerson),
	}
}

const (
	wrongIssuer   Reason = "issuer_wrong"
	tokenRefused  Reason = "code_refused"
	noIDToken     Reason = "id_token_missing"
	wrongToken    Reason = "id_token_invalid"
	wrongAudience Reason = "audience_wrong"
	wrongNonce    Reason = "nonce_wrong"
	wrongTime     Reason = "id_token_expired"
	wrongSubject  Reason = "subject_wrong"
	wrongHash     Reason = "access_token_hash_wrong"
	noPerson      Reason = "person_unknown"
)

// metadata is what is used of a discovery document.
type metadata struct {
	Issuer      string   `json:"issuer"`
	Authorize   string   `json:"authorization_endpoint"`
	Token       string   `json:"token_endpoint"`
	UserInfo    string   `json:"userinfo_endpoint"`
	Keys        string   `json:"jwks_uri"`
	AuthMethods []string `json:"token_endpoint_auth_methods_supported"`
	// Names says that answers have iss (RFC 9207).
	Names bool `json:"authorization_response_iss_parameter_supported"`
}

// Remote asks one provider.
type Remote struct {
	*Provider
	secret string
	key    *ecdsa.PrivateKey
	server *outbound.Provider
	now    func() time.Time
	keys   *keySet

	mu          sync.Mutex // held while the document is read
	known       *metadata
	read, tried time.Time
}

// Open returns what asks a provider, with the secret that its file has.
func Open(p *Provider, server *outbound.Provider, now func() time.Time) (r *Remote, err error) {
	r = &Remote{Provider: p, server: server, now: now}
	r.keys = &keySet{now: now, get: func(ctx context.Context) ([]byte, error) {
		m, err := r.metadata(ctx)
		if err != nil {
			return nil, err
		}
		return server.Get(ctx, m.Keys, "")
	}}
	if p.Kind == Apple {
		r.key, err = appleKey(p.KeyFile)
	} else {
		r.secret, err = secretOf(p.SecretFile)
	}
	if err != nil {
		return nil, fmt.Errorf("provider %q: %w", p.ID, err)
	}
	return r, nil
}

// appleKey reads the private key with which the client's secret is signed.
func appleKey(path string) (*ecdsa.PrivateKey, error) {
	text, err := read(path, mostSecret)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s is no PEM file with a private key", path)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if k, ok := key.(*ecdsa.PrivateKey); ok && k.Curve == elliptic.P256() {
		return k, nil
	}
	return nil, fmt.Errorf("%s has another key than one of P-256, as Apple gives out", path)
}

// document is where the discovery document is, and what it must call itself.
func (r *Remote) document() (at, issuer string) {
	issuer = r.Issuer
	at = issuer
	if r.Kind == Microsoft {
		tenant := "organizations"
		if slices.Contains(r.Tenants, personalTenant) {
			tenant = "common"
		}
		at, issuer = r.tenantIssuer(tenant), r.tenantIssuer("{tenantid}")
		if len(r.Tenants) == 1 {
			issuer = r.tenantIssuer(r.Tenants[0])
			at = issuer
		}
	}
	return strings.TrimSuffix(at, "/") + "/.well-known/openid-configuration", issuer
}

// metadata returns what the discovery document says, read within the hour, or what is known of it where it can't be read.
func (r *Remote) metadata(ctx context.Context) (*metadata, error) {
	if r.Kind == GitHub {
		return r.gitHub(), nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	switch {
	case r.known != nil && (within(now, r.read, fresh) || within(now, r.tried, pause)):
		return r.known, nil
	case r.known == nil && within(now, r.tried, soon):
		return nil, ErrAway
	}
	r.tried = now
	m, err := r.discover(context.WithoutCancel(ctx)) // others wait for it
	switch {
	case err == nil:
		r.known, r.read = m, now
	case r.known == nil:
		return nil, ErrAway.Because(err)
	}
	return r.known, nil
}

func (r *Remote) discover(ctx context.Context) (*metadata, error) {
	at, issuer := r.document()
	text, err := r.server.Get(ctx, at, "")
	if err != nil {
		return nil, err
	}
	var m metadata
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, fmt.Errorf("%s is no discovery document: %w", at, err)
	}
	if m.Issuer != issuer {
		return nil, fmt.Errorf("%s says that its issuer is %q, which is not %q", at, m.Issuer, issuer)
	}
	for _, endpoint := range []string{m.Authorize, m.Token, m.Keys} {
		if u, err := url.Parse(endpoint); err != nil || u.Hostname() == "" || u.Scheme != "https" && !strings.HasPrefix(r.Issuer, "http:") {
			return nil, fmt.Errorf("%s names %q, which is no https address", at, endpoint)
		}
	}
	return &m, nil
}

// Check reads what the provider publishes now, and returns what is wrong with it.
func (r *Remote) Check(ctx context.Context) error {
	if r.Kind == GitHub {
		_, err := r.server.Get(ctx, r.gitHub().UserInfo+"/meta", "")
		return err
	}
	m, err := r.discover(ctx)
	if err != nil {
		return err
	}
	text, err := r.server.Get(ctx, m.Keys, "")
	if err != nil {
		return err
	}
	known := &keySet{now: r.now, get: func(context.Context) ([]byte, error) { return text, nil }}
	keys, err := known.of(ctx, "")
	if err == nil && len(keys) == 0 {
		err = errors.New("it publishes no key that ID tokens could be signed with")
	}
	return err
}

// config is what the library needs. How the client authenticates is said: a library that tries would spend the code.
func (r *Remote) config(m *metadata, redirect string) (*oauth2.Config, error) {
	c := &oauth2.Config{
		ClientID: r.ClientID, ClientSecret: r.secret, RedirectURL: redirect, Scopes: []string{oidc.ScopeOpenID, "email", "profile"},
		Endpoint: oauth2.Endpoint{AuthURL: m.Authorize, TokenURL: m.Token, AuthStyle: oauth2.AuthStyleInHeader},
	}
	switch r.Kind {
	case Apple:
		secret, err := r.appleSecret()
		if err != nil {
			return nil, err
		}
		c.ClientSecret, c.Endpoint.AuthStyle, c.Scopes = secret, oauth2.AuthStyleInParams, []string{oidc.ScopeOpenID, "email", "name"}
	case GitHub:
		c.Endpoint.AuthStyle, c.Scopes = oauth2.AuthStyleInParams, []string{"user:email"}
	case OIDC, Google, Microsoft:
		if len(m.AuthMethods) > 0 && !slices.Contains(m.AuthMethods, "client_secret_basic") {
			c.Endpoint.AuthStyle = oauth2.AuthStyleInParams
		}
	}
	return c, nil
}

// Asking is what goes along with somebody to a provider, and is kept until they are back.
type Asking struct {
	State, Nonce, Verifier string
	// Redirect is where they come back to.
	Redirect string
	// Again asks that they show anew who they are, as far as the provider can be asked.
	Again bool
}

// Address is where somebody goes to sign in.
func (r *Remote) Address(ctx context.Context, a Asking) (string, error) {
	m, err := r.metadata(ctx)
	if err != nil {
		return "", err
	}
	c, err := r.config(m, a.Redirect)
	if err != nil {
		return "", err
	}
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(a.Verifier)}
	if r.Kind != GitHub {
		options = append(options, oidc.Nonce(a.Nonce))
	}
	if r.Kind == Apple { // which answers by a form where it is asked for an address
		options = append(options, oauth2.SetAuthURLParam("response_mode", "form_post"))
	}
	if a.Again {
		switch r.Kind {
		case OIDC, Microsoft:
			options = append(options, oauth2.SetAuthURLParam("prompt", "login"))
		case Google, GitHub:
			options = append(options, oauth2.SetAuthURLParam("prompt", "select_account"))
		case Apple:
		}
	}
	return c.AuthCodeURL(a.State, options...), nil
}
