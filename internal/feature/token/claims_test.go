package token_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
)

// ASVS 9.2.1, 9.2.3, 9.2.4: what a token must say, even if our own key signed it.
func TestClaimsThatAreNotOurs(t *testing.T) {
	d := open(t)
	quoted := func(s string) string { return `"` + s + `"` }
	exp, iat := fmt.Sprintf(`"exp":%d`, start.Unix()+900), fmt.Sprintf(`"iat":%d`, start.Unix())
	for name, replace := range map[string][]string{
		"another issuer":                 {quoted(config.Issuer), `"https://id.example.com"`},
		"the issuer with a slash":        {quoted(config.Issuer), quoted(config.Issuer + "/")},
		"the issuer in capitals":         {quoted(config.Issuer), quoted(strings.ToUpper(config.Issuer))},
		"no issuer":                      {`"iss":` + quoted(config.Issuer) + `,`, ``},
		"an empty issuer":                {quoted(config.Issuer), `""`},
		"another audience":               {quoted(config.Audience), `"https://api.example.com"`},
		"the issuer as audience":         {quoted(config.Audience), quoted(config.Issuer)},
		"no audience":                    {`"aud":` + quoted(config.Audience) + `,`, ``},
		"a list of audiences":            {quoted(config.Audience), `["https://api.example.com"]`},
		"a list with ours":               {quoted(config.Audience), `[` + quoted(config.Audience) + `]`},
		"no subject":                     {`"sub":` + quoted(jane.Account) + `,`, ``},
		"an empty subject":               {quoted(jane.Account), `""`},
		"a null subject":                 {quoted(jane.Account), `null`},
		"a number as subject":            {quoted(jane.Account), `1`},
		"no session":                     {`"sid":` + quoted(jane.Session) + `,`, ``},
		"an empty session":               {quoted(jane.Session), `""`},
		"no exp":                         {exp + `,`, ``},
		"a null exp":                     {exp, `"exp":null`},
		"exp as text":                    {exp, fmt.Sprintf(`"exp":"%d"`, start.Unix()+900)},
		"exp with a fraction":            {exp, fmt.Sprintf(`"exp":%d.5`, start.Unix()+900)},
		"exp with an exponent":           {exp, `"exp":1e18`},
		"exp beyond 64 bits":             {exp, `"exp":99999999999999999999`},
		"exp in the past":                {exp, fmt.Sprintf(`"exp":%d`, start.Unix()-1)},
		"exp at this very second":        {exp, fmt.Sprintf(`"exp":%d`, start.Unix())},
		"a negative exp":                 {exp, `"exp":-1`},
		"no iat":                         {iat + `,`, ``},
		"iat over a minute ahead":        {iat, fmt.Sprintf(`"iat":%d`, start.Unix()+61)},
		"no jti":                         {`"jti":"j",`, ``},
		"roles as text":                  {`["reader"]`, `"reader"`},
		"roles as an object":             {`["reader"]`, `{"admin":true}`},
		"a claim unknown":                {`"jti":"j"`, `"jti":"j","scope":"all"`},
		"nbf, which we don't use":        {`"jti":"j"`, `"jti":"j","nbf":1`},
		"a claim with no name":           {`"jti":"j"`, `"jti":"j","":1`},
		"the subject twice":              {`"jti":"j"`, `"jti":"j","sub":"eve"`},
		"the subject twice, the same":    {`"jti":"j"`, `"jti":"j","sub":` + quoted(jane.Account)},
		"the subject in capitals":        {`"sub":`, `"SUB":`},
		"and in small letters":           {`"jti":"j"`, `"jti":"j","Sub":"eve"`},
		"exp twice":                      {`"jti":"j"`, fmt.Sprintf(`"jti":"j","exp":%d`, start.Unix()+9e6)},
		"roles twice":                    {`"jti":"j"`, `"jti":"j","roles":["admin"]`},
		"roles in a long s":              {`"roles":`, `"role` + "\u017f" + `":`},
		"spaces":                         {`,"sub"`, `, "sub"`},
		"a line break":                   {`,"sub"`, ",\n\"sub\""},
		"an escape that needs none":      {`"reader"`, `"\u0072eader"`},
		"broken UTF-8":                   {`"reader"`, "\"read\xff\""},
		"claims out of their order":      {`"jti":"j","sid":` + quoted(jane.Session), `"sid":` + quoted(jane.Session) + `,"jti":"j"`},
		"a brace too many":               {`["pwd"]}`, `["pwd"]}}`},
		"a bracket too many":             {`["pwd"]}`, `["pwd"]}]`},
		"a second object":                {`["pwd"]}`, `["pwd"]}{}`},
		"a line break at the end":        {`["pwd"]}`, "[\"pwd\"]}\n"},
		"NUL at the end":                 {`["pwd"]}`, "[\"pwd\"]}\x00"},
		"a comma at the end":             {`["pwd"]}`, `["pwd"],}`},
		"a brace too few":                {`["pwd"]}`, `["pwd"]`},
		"a byte order mark in the front": {`{"iss"`, "\ufeff" + `{"iss"`},
	} {
		c := claims(replace...)
		if c == claims() {
			t.Fatalf("%s: nothing was replaced", name)
		}
		d.refuse(t, name, d.forge(t, d.header(), c))
	}
	for _, c := range []string{"", "{}", "null", "[]", "true", `"x"`, "[" + claims() + "]", strings.Repeat("[", 4000)} {
		d.refuse(t, "claims "+c, d.forge(t, d.header(), c))
	}
}

func TestIssuedAMinuteAheadIsTolerated(t *testing.T) {
	d := open(t)
	ahead := claims(fmt.Sprintf(`"iat":%d`, start.Unix()), fmt.Sprintf(`"iat":%d`, start.Unix()+60))
	if _, err := d.Verify(d.forge(t, d.header(), ahead), start); err != nil {
		t.Error(err)
	}
}

func TestTokensOfAnotherIssuerOrAudienceWithTheSameKey(t *testing.T) {
	k := newKey(t)
	d := newTestIssuer(t, k, config)
	for name, c := range map[string]token.Config{
		"issuer":   {Issuer: "https://staging.example.org", Audience: config.Audience, Life: config.Life},
		"audience": {Issuer: config.Issuer, Audience: "https://other.example.org", Life: config.Life},
		"swapped":  {Issuer: config.Audience, Audience: config.Issuer, Life: config.Life},
	} {
		d.refuse(t, name, newTestIssuer(t, k, c).issue(t))
	}
}

// A token has one spelling; all others are refused, so that nothing that is
// kept or blocked by a token's hash is got round by a line break.
func TestATokenHasOneSpelling(t *testing.T) {
	d := open(t)
	issued := d.issue(t)
	if _, err := d.Verify(issued, start); err != nil {
		t.Fatal(err)
	}
	p := strings.Split(issued, ".")
	header, body, signature := parts(t, issued)
	std := base64.StdEncoding
	for name, spelling := range map[string]string{
		"a space before":            " " + issued,
		"a space after":             issued + " ",
		"a line break":              issued + "\n",
		"CR and LF":                 issued + "\r\n",
		"a tab":                     "\t" + issued,
		"NUL":                       issued + "\x00",
		"line break in header":      p[0][:8] + "\n" + p[0][8:] + "." + p[1] + "." + p[2],
		"line break in claims":      p[0] + "." + p[1][:8] + "\r\n" + p[1][8:] + "." + p[2],
		"line break in signature":   p[0] + "." + p[1] + "." + p[2][:8] + "\r" + p[2][8:],
		"line break at a dot":       p[0] + "\n." + p[1] + "." + p[2],
		"padded header":             p[0] + "=." + p[1] + "." + p[2],
		"padded claims":             p[0] + "." + p[1] + "==." + p[2],
		"padded signature":          issued + "==",
		"other alphabet":            std.EncodeToString([]byte(header)) + "." + std.EncodeToString([]byte(body)) + "." + std.EncodeToString(signature),
		"odd last bits":             issued[:len(issued)-1] + map[byte]string{'A': "B", 'Q': "R", 'g': "h", 'w': "x"}[issued[len(issued)-1]],
		"a fourth part":             issued + ".",
		"a fourth part with text":   issued + "." + p[2],
		"two parts":                 p[0] + "." + p[1],
		"one part":                  p[0],
		"a dot before":              "." + issued,
		"Bearer":                    "Bearer " + issued,
		"quotes":                    `"` + issued + `"`,
		"twice":                     issued + issued,
		"twice, with a comma":       issued + "," + issued,
		"percent-encoded":           strings.ReplaceAll(issued, ".", "%2E"),
		"detached claims":           p[0] + ".." + p[2],
		"JSON, general":             fmt.Sprintf(`{"payload":%q,"signatures":[{"protected":%q,"signature":%q}]}`, p[1], p[0], p[2]),
		"JSON, flattened":           fmt.Sprintf(`{"payload":%q,"protected":%q,"signature":%q}`, p[1], p[0], p[2]),
		"JSON with a header":        fmt.Sprintf(`{"payload":%q,"protected":%q,"header":{"kid":"x"},"signature":%q}`, p[1], p[0], p[2]),
		"five parts, as JWE":        p[0] + ".." + p[1] + "." + p[2] + "." + p[2],
		"a small letter in capital": strings.ToUpper(issued),
	} {
		d.refuse(t, name, spelling)
	}
	if _, err := d.Verify(issued, start); err != nil {
		t.Errorf("after the attacks the token itself is refused: %v", err)
	}
}

func TestLongTokensAreRefused(t *testing.T) {
	d := open(t)
	long := strings.Repeat("r", 8<<10)
	d.refuse(t, "signed, over 8 KiB", d.forge(t, d.header(), claims("reader", long)))
	issued := d.issue(t)
	for name, s := range map[string]string{
		"1 MB":              strings.Repeat("A", 1<<20),
		"1 MB of dots":      strings.Repeat(".", 1<<20),
		"1 MB behind":       issued + strings.Repeat("A", 1<<20),
		"1 MB in front":     strings.Repeat("A", 1<<20) + issued,
		"1 MB of space":     strings.Repeat(" ", 1<<20) + issued,
		"just over the cap": strings.Repeat("A", 8<<10+1),
	} {
		d.refuse(t, name, s)
	}
}
