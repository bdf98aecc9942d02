package upstream

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/idna"
)

// Kind is who a provider is, as far as it has oddities.
type Kind string

// The kinds. OIDC is anything with a discovery document.
const (
	OIDC      Kind = "oidc"
	Google    Kind = "google"
	Microsoft Kind = "microsoft"
	Apple     Kind = "apple"
	GitHub    Kind = "github"
)

// kinds are the names and the usual issuers. That of Microsoft is what the tenants stand behind.
var kinds = map[Kind]struct{ name, issuer string }{
	OIDC: {}, Google: {"Google", "https://accounts.google.com"}, Microsoft: {"Microsoft", "https://login.microsoftonline.com"},
	Apple: {"Apple", "https://appleid.apple.com"}, GitHub: {"GitHub", "https://github.com"},
}

// Provider is where people sign in, as a block of UPSTREAMS_FILE describes it.
type Provider struct {
	// ID names it in addresses, and with it where the provider sends people back to.
	ID   string `json:"id"`
	Kind Kind   `json:"kind"`
	// Name is what people read.
	Name string `json:"name,omitempty"`
	// Issuer is the address of its discovery document, to the letter. The kinds know theirs: others are GitHub Enterprise Server,
	// and the clouds of Microsoft's for one country.
	Issuer   string `json:"issuer,omitempty"`
	ClientID string `json:"client_id"`
	// SecretFile has the client's secret; KeyFile Apple's private key, with KeyID and TeamID.
	SecretFile string `json:"secret_file,omitempty"`
	KeyFile    string `json:"key_file,omitempty"`
	KeyID      string `json:"key_id,omitempty"`
	TeamID     string `json:"team_id,omitempty"`
	// SignUp are the domains whose addresses get an account by signing in; * is any, and asks for REGISTRATION=open.
	SignUp Domains `json:"signup,omitempty"`
	// AuthoritativeFor are domains whose addresses the provider gives out itself: there it knows whose one is.
	AuthoritativeFor Domains `json:"authoritative_for,omitempty"`
	// TrustedEmail believes what it says of any address.
	TrustedEmail bool `json:"trusted_email,omitempty"`
	// TrustAMR counts the second factor that somebody has shown there.
	TrustAMR bool `json:"trust_amr,omitempty"`
	// Only are domains whose accounts have no other way in.
	Only Domains `json:"only,omitempty"`
	// Tenants are Microsoft's organisations whose people may sign in, HD Google's.
	Tenants []string `json:"tenants,omitempty"`
	HD      Domains  `json:"hd,omitempty"`
}

// Domains are domains of addresses. In a file false, or no, is none.
type Domains []string

// UnmarshalJSON reads them.
func (d *Domains) UnmarshalJSON(b []byte) error {
	*d = nil
	if s := string(b); s == "false" || s == "null" {
		return nil
	}
	return json.Unmarshal(b, (*[]string)(d))
}

// has reports whether a domain is among them, or any is.
func (d Domains) has(domain string) bool {
	return domain != "" && (slices.Contains(d, domain) || slices.Contains(d, anyDomain))
}

// anyDomain is the one of them that stands for all.
const anyDomain = "*"

var (
	ids     = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`)
	tenants = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
)

const mostName = 40

// check completes a block by what its kind knows, or returns what is wrong with it.
func (p *Provider) check(development bool) error {
	known, ok := kinds[p.Kind]
	switch {
	case !ids.MatchString(p.ID):
		return errors.New("id has up to 32 of a-z, 0-9 and -")
	case !ok:
		return errors.New("kind is one of google, microsoft, apple, github and oidc")
	}
	if p.Name == "" {
		p.Name = known.name
	}
	if p.Issuer == "" {
		p.Issuer = known.issuer
	}
	switch {
	case p.Name == "" || len(p.Name) > mostName || strings.ContainsFunc(p.Name, func(r rune) bool { return r < ' ' }):
		return fmt.Errorf("name is what people read, of up to %d bytes", mostName)
	case p.ClientID == "" || len(p.ClientID) > 255:
		return errors.New("client_id is what the provider calls this server")
	}
	if err := checkIssuer(p.Issuer, development); err != nil {
		return err
	}
	if err := p.checkDomains(); err != nil {
		return err
	}
	return p.checkKind()
}

func checkIssuer(issuer string, development bool) error {
	u, err := url.Parse(issuer)
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.HasSuffix(issuer, "?") {
		return errors.New("issuer is the address that the provider's discovery document calls itself, to the letter")
	}
	if !strings.HasPrefix(issuer, "https://") && !(development && strings.HasPrefix(issuer, "http://")) { // as the issuer writes it, to the letter
		return errors.New("issuer is an https address")
	}
	return nil
}

// checkDomains has domains be as addresses are compared.
func (p *Provider) checkDomains() error {
	for _, list := range []struct {
		name    string
		domains Domains
		any     bool
	}{{"signup", p.SignUp, true}, {"authoritative_for", p.AuthoritativeFor, false}, {"only", p.Only, false}, {"hd", p.HD, false}} {
		for i, d := range list.domains {
			ascii, err := idna.Lookup.ToASCII(strings.ToLower(d))
			switch {
			case d == anyDomain && list.any:
			case d == anyDomain:
				return fmt.Errorf("%s names domains: * is not one", list.name)
			case err != nil || ascii == "" || strings.ContainsAny(d, "@/: "):
				return fmt.Errorf("%s: %q is no domain, such as example.com", list.name, d)
			default:
				list.domains[i] = ascii
			}
		}
	}
	return nil
}

func (p *Provider) checkKind() error {
	apple := p.KeyFile != "" && p.KeyID != "" && p.TeamID != "" && p.SecretFile == ""
	switch {
	case p.Kind == Apple && !apple:
		return errors.New("apple has key_file, key_id and team_id, and no secret_file")
	case p.Kind != Apple && (p.KeyFile != "" || p.KeyID != "" || p.TeamID != ""):
		return errors.New("key_file, key_id and team_id are Apple's")
	case p.Kind != Apple && p.SecretFile == "":
		return errors.New("secret_file is the file with the client's secret")
	case p.Kind == Microsoft && len(p.Tenants) == 0:
		return errors.New("tenants are the ids of the organisations whose people may sign in; that of personal accounts is " + personalTenant)
	case p.Kind != Microsoft && len(p.Tenants) > 0:
		return errors.New("tenants are Microsoft's")
	case p.Kind != Google && len(p.HD) > 0:
		return errors.New("hd is Google's")
	case p.Kind == GitHub && (len(p.AuthoritativeFor) > 0 || p.TrustAMR):
		return errors.New("github gives no addresses out, and does not say how somebody signed in: leave out authoritative_for and trust_amr")
	}
	for i, t := range p.Tenants {
		if p.Tenants[i] = strings.ToLower(t); !tenants.MatchString(p.Tenants[i]) {
			return fmt.Errorf("tenants: %q is no id of one", t)
		}
	}
	return nil
}

// personalTenant is whose the people are who have an account of Microsoft's for themselves.
const personalTenant = "9188040d-6c67-4c5b-b112-36a304b66dad"

// Issuers are those of whose identities it answers: one, or one for each tenant.
func (p *Provider) Issuers() []string {
	if p.Kind != Microsoft {
		return []string{p.Issuer}
	}
	var list []string
	for _, t := range p.Tenants {
		list = append(list, p.tenantIssuer(t))
	}
	return list
}

func (p *Provider) tenantIssuer(tenant string) string {
	return strings.TrimSuffix(p.Issuer, "/") + "/" + tenant + "/v2.0"
}

// Person is who has signed in at a provider, as far as it says so.
type Person struct {
	Issuer, Subject string
	// Email is empty if it tells none; Verified is what it says about it.
	Email    string
	Verified bool
	Name     string
	// Domain is whose account it is, at Google: an organisation's.
	Domain string
	// Auth is when they signed in there, in seconds; 0 if it does not say. Factors says that they showed two.
	Auth    int64
	Factors bool
}

// googles are the domains whose addresses Google gives out.
var googles = Domains{"gmail.com", "googlemail.com"}

// Vouches reports whether the provider's word is enough that an address of a domain is that person's: it gives such addresses
// out, or the operator believes it, and it says that the address is verified.
func (p *Provider) Vouches(who Person, domain string) bool {
	if !who.Verified || domain == "" {
		return false
	}
	return p.TrustedEmail || p.AuthoritativeFor.has(domain) || p.Kind == Google && (googles.has(domain) || who.Domain == domain)
}

// SignsUp reports whether somebody gets an account by signing in whose address is of a domain. open is whether strangers may
// register: where the operator names the domain that is not asked.
func (p *Provider) SignsUp(domain string, open bool) bool {
	return slices.Contains(p.SignUp, domain) || open && slices.Contains(p.SignUp, anyDomain)
}
