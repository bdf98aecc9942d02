// Package notary signs statements, as signed notes (C2SP signed-note) with an Ed25519 key that is derived from a secret: the
// event log's checkpoints, the manifests of backups, and the evidence of incidents, each with a key of its own.
package notary

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// Signer signs statements under one name.
type Signer struct {
	signer note.Signer
	// Verifier is the public key, as text: with it anyone can check a statement.
	Verifier string
}

// New derives the signer of a name from a secret of 32 random characters or more. Signers for different purposes have
// different keys.
func New(key, name, purpose string) (*Signer, error) {
	private := ed25519.NewKeyFromSeed(secret.Derive([]byte(key), []byte(name), purpose))
	verifier, err := note.NewEd25519VerifierKey(name, private.Public().(ed25519.PublicKey))
	if err != nil {
		return nil, fmt.Errorf("the key %s: %w", name, err)
	}
	hash := strings.Split(verifier, "+")[1]
	s, err := note.NewSigner("PRIVATE+KEY+" + name + "+" + hash + "+" + base64.StdEncoding.EncodeToString(append([]byte{1}, private.Seed()...)))
	if err != nil {
		return nil, fmt.Errorf("the key %s: %w", name, err)
	}
	return &Signer{signer: s, Verifier: verifier}, nil
}

// Name is what the signer is called in its statements.
func (s *Signer) Name() string { return s.signer.Name() }

// Sign returns a text with its signature. The text ends with a line end.
func (s *Signer) Sign(text string) ([]byte, error) {
	return note.Sign(&note.Note{Text: text}, s.signer)
}
