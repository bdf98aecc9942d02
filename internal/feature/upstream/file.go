package upstream

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"
)

const (
	// mostFile is the longest file that is read, in bytes, mostProviders how many there can be: their buttons stand on one page.
	mostFile      = 1 << 20
	mostProviders = 20
	// mostSecret is the longest secret, and the longest key, in bytes.
	mostSecret = 16 << 10
)

// ReadFile reads a file of providers, and what it names beside it: paths are taken from its folder.
func ReadFile(path string, development bool) ([]*Provider, error) {
	text, err := read(path, mostFile)
	if err != nil {
		return nil, err
	}
	list, err := ParseFile(text, development)
	if err != nil {
		return nil, err
	}
	for _, p := range list {
		for _, at := range []*string{&p.SecretFile, &p.KeyFile} {
			if *at != "" && !filepath.IsAbs(*at) {
				*at = filepath.Join(filepath.Dir(path), *at)
			}
		}
	}
	return list, nil
}

func read(path string, most int64) ([]byte, error) {
	f, err := os.Open(path) //nolint:gosec // the operator's
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("%s is longer than %d bytes", path, most)
	}
	return b, err
}

// ParseFile reads what is in such a file: YAML, or JSON. What is wrong with it names the provider.
func ParseFile(text []byte, development bool) ([]*Provider, error) {
	var in struct {
		Providers []*Provider `json:"providers"`
	}
	if err := yaml.UnmarshalStrict(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")), &in); err != nil {
		return nil, err
	}
	if len(in.Providers) > mostProviders {
		return nil, fmt.Errorf("it has more than %d providers", mostProviders)
	}
	ids, issuers, only := map[string]bool{}, map[string]string{}, map[string]string{}
	for i, p := range in.Providers {
		if p == nil {
			return nil, fmt.Errorf("the provider at place %d is empty", i+1)
		}
		err := p.check(development)
		if err == nil && ids[p.ID] {
			err = errors.New("it is there twice")
		}
		if err != nil {
			return nil, fmt.Errorf("provider %q at place %d: %w", p.ID, i+1, err)
		}
		ids[p.ID] = true
		for _, issuer := range p.Issuers() {
			if other := issuers[issuer]; other != "" {
				return nil, fmt.Errorf("provider %q: %s is that of %q too: whose an identity is could not be told", p.ID, issuer, other)
			}
			issuers[issuer] = p.ID
		}
		for _, d := range p.Only {
			if other := only[d]; other != "" {
				return nil, fmt.Errorf("provider %q: only has %s, which %q has too", p.ID, d, other)
			}
			only[d] = p.ID
		}
	}
	return in.Providers, nil
}

// secretOf reads a secret without the line's end that editors put there.
func secretOf(path string) (string, error) {
	b, err := read(path, mostSecret)
	secret := strings.TrimRight(string(b), "\r\n")
	if err == nil && (secret == "" || strings.ContainsAny(secret, "\r\n")) {
		err = fmt.Errorf("%s has no secret: write it there, on one line", path)
	}
	return secret, err
}
