package backup

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"strings"

	"filippo.io/age"
	"filippo.io/age/agessh"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// Recipients are who can open a backup.
type Recipients struct {
	// Names are the public keys as they were given.
	Names []string
	keys  []age.Recipient
	// quantum: they are for post-quantum keys, which age takes beside no others.
	quantum bool
}

// ParseRecipients reads public keys, with commas or line ends between them: age1…,
// age1pq1… or ssh-ed25519 …. Lines that begin with # are comments.
func ParseRecipients(text string) (Recipients, error) {
	var r Recipients
	classic := false
	for word := range strings.FieldsFuncSeq(text, func(c rune) bool { return c == ',' || c == '\n' || c == '\r' }) {
		word = strings.TrimSpace(word)
		if word == "" || strings.HasPrefix(word, "#") {
			continue
		}
		var key age.Recipient
		var err error
		switch {
		case strings.HasPrefix(word, "ssh-ed25519 "):
			key, err = agessh.ParseRecipient(word)
			classic = true
		case strings.HasPrefix(word, "age1pq1"):
			key, err = age.ParseHybridRecipient(word)
			r.quantum = true
		default:
			key, err = age.ParseX25519Recipient(word)
			classic = true
		}
		if err != nil {
			return Recipients{}, errors.New("it holds something that is no public key of age: write age1…, age1pq1… or ssh-ed25519 …")
		}
		r.Names, r.keys = append(r.Names, word), append(r.keys, key)
	}
	if r.quantum && classic {
		return Recipients{}, errors.New("age takes no post-quantum keys (age1pq1…) beside classic ones: use one kind")
	}
	return r, nil
}

// Keys are the recipients as age has them.
func (r Recipients) Keys() []age.Recipient { return r.keys }

// once returns the recipients with one more, whose identity lives in memory alone: with it
// what was stored is read back.
func (r Recipients) once() ([]age.Recipient, age.Identity, error) {
	if r.quantum {
		id, err := age.GenerateHybridIdentity()
		if err != nil {
			return nil, nil, fmt.Errorf("a key for reading back: %w", err)
		}
		return append(append([]age.Recipient{}, r.keys...), id.Recipient()), id, nil
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, nil, fmt.Errorf("a key for reading back: %w", err)
	}
	return append(append([]age.Recipient{}, r.keys...), id.Recipient()), id, nil
}

// NewKey makes a key, and returns it with what encrypts to it, both as text.
func NewKey() (identity, recipient string, err error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return "", "", err
	}
	return id.String(), id.Recipient().String(), nil
}

// ParseIdentities reads the file with the secret keys that open backups: age's own
// (age-keygen writes one), or an SSH key (ed25519) without a passphrase.
func ParseIdentities(file []byte) ([]age.Identity, error) {
	if bytes.Contains(file, []byte("-----BEGIN ")) {
		id, err := agessh.ParseIdentity(file)
		if err != nil {
			return nil, badIdentity("It is an SSH key that can't be read, or that has a passphrase: ssh-keygen -p takes it off a copy.")
		}
		return []age.Identity{id}, nil
	}
	list, err := age.ParseIdentities(bufio.NewReader(bytes.NewReader(file)))
	if err != nil { // its text may quote the key
		return nil, badIdentity("It holds no secret keys of age: lines that begin with AGE-SECRET-KEY-.")
	}
	return list, nil
}

func badIdentity(why string) error {
	return fault.New(fault.Invalid, "identity_malformed", "The file with the identity can't be used. "+why)
}

// needIdentity is the refusal of an identity that does not fit.
func needIdentity(m *Manifest) error {
	return fault.New(fault.Invalid, "no_identity", fmt.Sprintf(
		"None of the identities opens the backup %s. It is for: %s. Name the file with the secret key of one of these with --identity.",
		m.ID, strings.Join(m.Recipients, ", ")))
}
