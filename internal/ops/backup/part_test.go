package backup

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"
	gossh "golang.org/x/crypto/ssh"
)

func newIdentity(t testing.TB) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// cutUp makes parts of rows that come in pieces of a size.
func cutUp(t testing.TB, id *age.X25519Identity, rows []byte, piece int) (parts []Part, files [][]byte) {
	t.Helper()
	c := &cutter{table: "account", recipients: []age.Recipient{id.Recipient()}, full: func(p Part, b []byte) error {
		parts, files = append(parts, p), append(files, bytes.Clone(b))
		return nil
	}}
	for rest := rows; len(rest) > 0; {
		n := min(piece, len(rest))
		if _, err := c.Write(rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	if err := c.end(); err != nil {
		t.Fatal(err)
	}
	return parts, files
}

func TestPartsAreCutBehindARowAndComeBack(t *testing.T) {
	id := newIdentity(t)
	row := []byte(strings.Repeat("x", 1000) + "\n")
	rows := bytes.Repeat(row, 70_000) // over two parts
	parts, files := cutUp(t, id, rows, 64<<10)
	if len(parts) != 3 || parts[0].Name != "account-00001.zst.age" || parts[2].Name != "account-00003.zst.age" {
		t.Fatalf("%+v", parts)
	}
	var back []byte
	total := int64(0)
	for i, p := range parts {
		if i < 2 && (p.Plain < partSize || p.Plain >= partSize+int64(len(row))) {
			t.Errorf("part %d has %d bytes", i, p.Plain)
		}
		if err := p.intact(files[i]); err != nil {
			t.Error(err)
		}
		r, err := p.open(files[i], []age.Identity{id})
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Error(err)
		}
		back, total = append(back, b...), total+p.Rows
		_ = r.Close()
	}
	if !bytes.Equal(rows, back) || total != 70_000 {
		t.Errorf("%d rows of %d bytes came back", total, len(back))
	}
}

// A part that unpacks without end, or has a row without end, stops at the stated size.
func TestAPartThatUnpacksWithoutEndIsStopped(t *testing.T) {
	id := newIdentity(t)
	pack := func(row []byte, n int) []byte {
		var out bytes.Buffer
		w, err := age.Encrypt(&out, id.Recipient())
		if err != nil {
			t.Fatal(err)
		}
		z, err := zstd.NewWriter(w)
		if err != nil {
			t.Fatal(err)
		}
		for range n {
			if _, err := z.Write(row); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(z.Close(), w.Close()); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	zeros := make([]byte, 1<<20)
	for name, p := range map[string]Part{
		"without end":  {Plain: 1000, Rows: 1},
		"one long row": {Plain: 256 << 20, Rows: 1},
	} {
		r, err := p.open(pack(zeros, 256), []age.Identity{id})
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, r)
		if err == nil || n > mostRow+1<<20 {
			t.Errorf("%s: %d bytes, %v", name, n, err)
		}
	}
}

func TestAnotherIdentityOpensNothing(t *testing.T) {
	id := newIdentity(t)
	parts, files := cutUp(t, id, []byte("a\tb\n"), 4)
	if _, err := parts[0].open(files[0], []age.Identity{newIdentity(t)}); !errors.Is(err, errNoIdentity) {
		t.Error(err)
	}
}

func TestRecipientsOfEachKind(t *testing.T) {
	quantum, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	classic := newIdentity(t).Recipient().String()
	public, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := gossh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	ssh := strings.TrimSpace(string(gossh.MarshalAuthorizedKey(key))) + " ada@example.org"
	for text, n := range map[string]int{
		classic: 1, classic + ",\n# mine\n" + ssh + "\n": 2, quantum.Recipient().String(): 1, "": 0,
	} {
		r, err := ParseRecipients(text)
		if err != nil || len(r.Names) != n {
			t.Errorf("%.40q: %v %v", text, r.Names, err)
			continue
		}
		keys, once, err := r.once()
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		w, err := age.Encrypt(&out, keys...)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(w, "said")
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		r2, err := age.Decrypt(&out, once)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(r2); err != nil || string(b) != "said" {
			t.Error(string(b), err)
		}
	}
	for _, text := range []string{classic + "," + quantum.Recipient().String(), "AGE-SECRET-KEY-1QQ", "age1x", "ssh-rsa AAAA"} {
		if _, err := ParseRecipients(text); err == nil || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%.40q: %v", text, err)
		}
	}
}

// FuzzOpen: whatever a store answers, nothing panics, and no more is read than the manifest says.
func FuzzOpen(f *testing.F) {
	id := newIdentity(f)
	parts, files := cutUp(f, id, []byte("a\tb\nc\td\n"), 3)
	f.Add(files[0], int64(8), int64(2))
	f.Fuzz(func(t *testing.T, file []byte, plain, rows int64) {
		p := parts[0]
		p.Plain, p.Rows = max(0, plain%(1<<20)), rows
		r, err := p.open(file, []age.Identity{id})
		if err != nil {
			return
		}
		if n, _ := io.Copy(io.Discard, r); n > p.Plain {
			t.Errorf("%d bytes of %d", n, p.Plain)
		}
	})
}
