package event

import (
	"context"
	"fmt"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/notary"
)

// Checkpoint is a signed statement of how large the log is and what its root
// is: a signed note (C2SP signed-note) with the text of a tlog-checkpoint.
type Checkpoint struct {
	Head
	Time time.Time
	// Note is the statement with its signature, to be kept elsewhere.
	Note string
}

// Signer signs checkpoints with the log's own key, which is in no database.
type Signer struct{ signer *notary.Signer }

// NewSigner returns a signer whose key (Ed25519) is derived from a secret of 32
// random characters or more, for the log that has this origin as its name.
func NewSigner(key, origin string) (*Signer, error) {
	s, err := notary.New(key, origin, "gatehouse/checkpoint/1")
	if err != nil {
		return nil, fmt.Errorf("the event log's key: %w", err)
	}
	return &Signer{s}, nil
}

// Origin is the name of the log in its checkpoints.
func (s *Signer) Origin() string { return s.signer.Name() }

// Verifier is the public key, as text: with it anyone can check a checkpoint.
func (s *Signer) Verifier() string { return s.signer.Verifier }

// sign returns the checkpoint of a head.
func (s *Signer) sign(h Head, now time.Time) (Checkpoint, error) {
	text := fmt.Sprintf("%s\n%d\n%s\n", s.Origin(), h.Size, h.Root)
	signed, err := s.signer.Sign(text)
	return Checkpoint{Head: h, Time: now, Note: string(signed)}, err
}

// ParseCheckpoint reads a checkpoint and checks its signature by the public
// key. What is wrong is a fault.Invalid.
func ParseCheckpoint(text, verifier string) (Checkpoint, error) {
	v, err := note.NewVerifier(verifier)
	if err != nil {
		return Checkpoint{}, fault.New(fault.Invalid, "key_malformed", "That is not the public key of an event log, which looks like NAME+HEX+BASE64.").Because(err)
	}
	n, err := note.Open([]byte(text), note.VerifierList(v))
	if err != nil {
		return Checkpoint{}, fault.New(fault.Invalid, "checkpoint_unsigned",
			"The checkpoint is not signed by the key "+v.Name()+", or was changed since.").Because(err)
	}
	h, err := parseHead(n.Text, v.Name())
	return Checkpoint{Head: h, Note: text}, err
}

// LastCheckpoint returns the last of several checkpoints that were written one
// after another, as an anchor's file has them, or the text if it has none.
func LastCheckpoint(text string) string {
	if list := SplitCheckpoints(text); len(list) > 0 {
		return list[len(list)-1]
	}
	return text
}

// SplitCheckpoints returns all checkpoints in a text, as an anchor's file has them.
func SplitCheckpoints(text string) (list []string) {
	const lines = 4 // before the signature: the name, the size, the root, and an empty one
	all := strings.SplitAfter(text, "\n")
	for i, line := range all {
		if i >= lines && all[i-1] == "\n" && strings.HasPrefix(line, "\u2014 ") {
			list = append(list, strings.TrimSuffix(strings.Join(all[i-lines:i+1], ""), "\n")+"\n")
		}
	}
	return list
}

// parseHead reads what a checkpoint says.
func parseHead(text, origin string) (Head, error) {
	var (
		h      Head
		root   string
		name   string
		refuse = fault.New(fault.Invalid, "checkpoint_malformed", "That is not a checkpoint of this event log.")
	)
	lines := strings.Split(text, "\n")
	if len(lines) != 4 {
		return Head{}, refuse
	}
	name, root = lines[0], lines[2]
	if _, err := fmt.Sscanf(lines[1], "%d", &h.Size); err != nil || h.Size < 0 || fmt.Sprint(h.Size) != lines[1] || name != origin {
		return Head{}, refuse
	}
	parsed, err := tlog.ParseHash(root)
	if err != nil || parsed.String() != root {
		return Head{}, refuse
	}
	h.Root = parsed
	return h, nil
}

// sign signs what is read back after the commit, and never what is about to be
// committed: two sealers of which one fails would contradict each other.
func (s *Sealer) sign(ctx context.Context) (Checkpoint, error) {
	if s.signer == nil || s.known.Size == s.signed.Size && s.signed.Note != "" {
		return Checkpoint{}, nil
	}
	var head Head
	err := s.db.Read(ctx, func(tx *db.Tx) (err error) {
		head, err = ReadHead(tx)
		return err
	})
	if err != nil {
		return Checkpoint{}, err
	}
	c, err := s.signer.sign(head, s.now())
	if err != nil {
		return Checkpoint{}, err
	}
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		tx.Defer(`INSERT INTO event_checkpoint (origin, size, time, note) VALUES ($1, $2, $3, $4) ON CONFLICT (origin, size) DO NOTHING`,
			s.origin.N, c.Size, db.Micros(c.Time), c.Note)
		return nil
	})
	if err != nil {
		return Checkpoint{}, err
	}
	s.signed = c
	return c, nil
}
