package openid

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
)

// The prompts (OpenID Connect Core section 3.1.2.1; create is of Initiating User Registration).
const (
	PromptNone          = "none"
	PromptLogin         = "login"
	PromptConsent       = "consent"
	PromptSelectAccount = "select_account"
	PromptCreate        = "create"
)

// Prompts are all of them.
func Prompts() []string {
	return []string{PromptNone, PromptLogin, PromptConsent, PromptSelectAccount, PromptCreate}
}

// Request is what an application asks for, once it is known which one that is and where the answer goes.
type Request struct {
	Client   string   `json:"c"`
	Redirect string   `json:"r"`
	State    string   `json:"s,omitempty"`
	Mode     string   `json:"m,omitempty"`
	Scope    []string `json:"o,omitempty"`
	// Resource are the URIs of the resources that tokens are to be for.
	Resource []string `json:"R,omitempty"`
	Nonce    string   `json:"n,omitempty"`
	// Challenge is that of PKCE, by S256.
	Challenge string   `json:"h,omitempty"`
	Prompt    []string `json:"p,omitempty"`
	// MaxAge is how old a sign-in may be, in seconds, if HasMaxAge.
	MaxAge    int64    `json:"a,omitempty"`
	HasMaxAge bool     `json:"A,omitempty"`
	ACR       []string `json:"l,omitempty"`
	// Hint is whose session is meant, by an ID token of ours, or nobodys; Login is what the person is called, for the sign-in page.
	Hint  string `json:"i,omitempty"`
	Login string `json:"e,omitempty"`
	// At is when it arrived, in seconds since 1970.
	At int64 `json:"t"`
	// Session is the one that was begun for this request.
	Session string `json:"S,omitempty"`
	// Pushed is the row of a request that was pushed: one code is given for it.
	Pushed []byte `json:"u,omitempty"`
}

// Parameters are those of a request that are known, by their names; beside them is the one that may be [Repeated].
func Parameters() []string {
	return []string{
		"client_id", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce", "code_challenge", "code_challenge_method", "prompt", "max_age",
		"acr_values", "id_token_hint", "login_hint", "request", "request_uri", "registration",
	}
}

// nobodys stands for a hint that is no ID token of ours for this application: it names no session that there is.
const nobodys = "-"

// Asks reports whether a prompt is among those asked for.
func (r Request) Asks(prompt string) bool { return slices.Contains(r.Prompt, prompt) }

// silent reports whether no page may be shown.
func (r Request) silent() bool { return r.Asks(PromptNone) }

// scope is the scope between spaces.
func (r Request) scope() string { return strings.Join(r.Scope, " ") }

// requestLife is how long a request may take: people register and read mail meanwhile.
const requestLife = time.Hour

// sealContext binds what is sealed to its use.
const sealContext = "authorization request"

// seal writes a request for our own addresses.
func seal(random secret.Random, key []byte, r Request) (string, error) {
	sealed := secret.SealText(random, key, r, sealContext)
	if len(sealed) > mostSealed {
		return "", &Refused{r, "invalid_request", "the whole of the request is too long: shorten state, nonce and redirect_uri"}
	}
	return sealed, nil
}

// errRequestOver is for a request that can't be read, took too long, or was pushed and has been answered. No application is told: it is not
// known where its answer may go.
var errRequestOver = fault.New(fault.Invalid, "request_over",
	"This took too long, the link was used before, or it is not whole. Go back to the application, and sign in from there again.")

// mostSealed is the longest sealed request that is read, in bytes: what a browser and a proxy take of an address.
const mostSealed = 12 << 10

func unseal(key []byte, text string, now time.Time) (r Request, err error) {
	if len(text) > mostSealed {
		return r, errRequestOver
	}
	if err := secret.OpenText(key, text, sealContext, &r); err != nil {
		return r, errRequestOver.Because(err)
	}
	if age := now.Sub(time.Unix(r.At, 0)); age > requestLife || age < -time.Minute {
		return r, errRequestOver
	}
	return r, nil
}

// Refused is what an application is told in the place of a code (RFC 6749 section 4.1.2.1).
type Refused struct {
	Request Request
	// Code is one of OAuth's, Description says more, in ASCII without quotes.
	Code, Description string
}

func (r *Refused) Error() string { return r.Code + ": " + r.Description }

// mostValue is the longest state and nonce, in bytes; mostHint the longest login_hint.
const (
	mostValue = 1 << 10
	mostHint  = 320
)

// challenges are those of S256: 43 characters of base64url.
var challenges = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)

// parse reads what an application asks for, all but the application and where the answer goes. What is wrong goes to the
// application. Unknown parameters and values are passed over, as both specifications ask.
func parse(in map[string]string, r Request, c client.Client, t targets) (Request, *Refused) {
	refuse := func(code, why string) (Request, *Refused) { return r, &Refused{r, code, why} }
	r.Mode = client.ModeQuery
	if len(in["state"]) > mostValue || len(in["nonce"]) > mostValue {
		return refuse("invalid_request", "state and nonce have up to 1024 bytes")
	}
	r.State, r.Nonce = in["state"], in["nonce"] // first: every refusal carries the state
	mode := cmp.Or(in["response_mode"], client.ModeQuery)
	switch {
	case !slices.Contains(client.ResponseModes(), mode):
		return refuse("invalid_request", "response_mode is one of query, fragment and form_post")
	case !c.Takes(mode):
		return refuse("invalid_request", "this application is not registered for response_mode "+mode)
	}
	r.Mode = mode
	switch {
	case in["request"] != "":
		return refuse("request_not_supported", "request objects are not taken")
	case in["request_uri"] != "":
		return refuse("request_uri_not_supported", "request_uri is not taken")
	case in["registration"] != "":
		return refuse("registration_not_supported", "registration is not taken")
	case in["response_type"] == "":
		return refuse("invalid_request", "response_type is missing: write code")
	case in["response_type"] != "code":
		return refuse("unsupported_response_type", "the one response_type is code")
	}
	if why := r.pkce(in, c); why != "" {
		return refuse("invalid_request", why)
	}
	if why := r.wishes(in); why != "" {
		return refuse("invalid_request", why)
	}
	var ok bool
	if r.Resource, ok = t.ask(c, in[Repeated]); !ok {
		return refuse("invalid_target", "a resource is not registered, or this application may not ask for it")
	}
	r.Scope = t.scope(c, in["scope"], r.Resource)
	if len(r.Scope) == 0 && (len(r.Resource) == 0 || strings.TrimSpace(in["scope"]) != "") {
		return refuse("invalid_scope", "ask for openid, and for profile, email, roles, groups or offline_access beside it, or for scopes of a resource")
	}
	return r, nil
}

// pkce reads the challenge (RFC 7636). plain is no protection, and is not taken.
func (r *Request) pkce(in map[string]string, c client.Client) (why string) {
	method := in["code_challenge_method"]
	switch r.Challenge = in["code_challenge"]; {
	case r.Challenge == "" && (method != "" || !c.Settings.PKCEOptional):
		return "code_challenge is missing: this application must use PKCE with code_challenge_method S256"
	case r.Challenge == "":
		return ""
	case method != "S256":
		return "code_challenge_method must be S256"
	case !challenges.MatchString(r.Challenge):
		return "code_challenge must be the 43 characters that S256 makes"
	}
	return ""
}

// wishes reads how the person is to sign in.
func (r *Request) wishes(in map[string]string) (why string) {
	for _, p := range strings.Fields(in["prompt"]) {
		if slices.Contains(Prompts(), p) && !slices.Contains(r.Prompt, p) {
			r.Prompt = append(r.Prompt, p)
		}
	}
	if r.silent() && len(r.Prompt) > 1 {
		return "prompt none goes with no other"
	}
	if age := in["max_age"]; age != "" {
		n, err := strconv.ParseInt(age, 10, 64)
		if err != nil || n < 0 {
			return "max_age is a number of seconds"
		}
		r.MaxAge, r.HasMaxAge = n, true
	}
	for _, a := range strings.Fields(in["acr_values"]) {
		if token.KnownACR(a) && !slices.Contains(r.ACR, a) {
			r.ACR = append(r.ACR, a)
		}
	}
	if len(in["login_hint"]) <= mostHint {
		r.Login = in["login_hint"]
	}
	return ""
}
