package copytext_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-auth/gatehouse/internal/base/copytext"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/schema"
)

var columns = []schema.Column{{Name: "n", Type: schema.Integer}, {Name: "t", Type: schema.Text}, {Name: "b", Type: schema.Bytes}}

// rows are what may stand in a column, and is awkward.
var rows = [][]any{
	{int64(0), "", []byte{}},
	{nil, nil, nil},
	{int64(-9223372036854775808), `\N`, []byte{0, '\\', 'x', 0xff}},
	{int64(9223372036854775807), "a\tb\nc\rd\\e\bf\fg\vh\\.", []byte(`\N`)},
	{int64(1), "zoë 🐈 \x01\x7f", []byte("\t\n")},
}

func TestRowsComeBackAsTheyWere(t *testing.T) {
	unclean := append(rows, []any{int64(1), "a\x00b\xff\xc3(", []byte{1}})
	for i, row := range unclean {
		line, portable := copytext.Append(nil, row)
		if bytes.Count(line, []byte{'\n'}) != 1 {
			t.Errorf("%q is not one line", line)
		}
		got := make([]any, 3)
		back, err := copytext.Parse(bytes.TrimSuffix(line, []byte{'\n'}), columns, got)
		if err != nil || portable != back || portable != (i < len(rows)) {
			t.Errorf("%q: portable %v, %v; %v", line, portable, back, err)
		}
		if diff := cmp.Diff(row, got); diff != "" {
			t.Error(diff)
		}
	}
}

// PostgreSQL loads what is written here, and writes the very same.
func TestPostgreSQLReadsAndWritesTheSame(t *testing.T) {
	conn, err := pgx.Connect(t.Context(), dbtest.EmptyPostgres(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), `CREATE TABLE r (n BIGINT, t TEXT, b BYTEA)`); err != nil {
		t.Fatal(err)
	}
	var want []byte
	for _, row := range rows {
		want, _ = copytext.Append(want, row)
	}
	if _, err := conn.PgConn().CopyFrom(t.Context(), bytes.NewReader(want), `COPY r (n, t, b) FROM STDIN`); err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if _, err := conn.PgConn().CopyTo(t.Context(), &got, `COPY r (n, t, b) TO STDOUT`); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Error(diff)
	}
}

func TestMalformedRowsAreRefused(t *testing.T) {
	for _, line := range []string{
		"", "1\ta", "1\ta\t\\\\x00\tb", "01\ta\t\\\\x00", "+1\ta\t\\\\x00", "9223372036854775808\ta\t\\\\x00", "1\t\\q\t\\\\x00", "1\t\\\t\\\\x00",
		"1\t\\x4\t\\\\x00", "1\ta\t00", "1\ta\t\\\\x0", "1\ta\t\\\\xzz", "x\ta\t\\\\x00",
	} {
		if _, err := copytext.Parse([]byte(line), columns, make([]any, 3)); !errors.Is(err, copytext.ErrMalformed) {
			t.Errorf("%q: %v", line, err)
		}
	}
}

// What a row is parsed into is written again as it was, whatever came.
func FuzzParse(f *testing.F) {
	for _, row := range rows {
		line, _ := copytext.Append(nil, row)
		f.Add(line[:len(line)-1])
	}
	f.Add([]byte("1\t\\xff\\x00\t\\\\x"))
	f.Fuzz(func(t *testing.T, line []byte) {
		row, again := make([]any, 3), make([]any, 3)
		if _, err := copytext.Parse(line, columns, row); err != nil {
			return
		}
		written, _ := copytext.Append(nil, row)
		if _, err := copytext.Parse(written[:len(written)-1], columns, again); err != nil {
			t.Fatalf("%q became %q: %v", line, written, err)
		}
		if diff := cmp.Diff(row, again); diff != "" {
			t.Error(diff)
		}
	})
}

// FuzzAppend: any text and any bytes come back.
func FuzzAppend(f *testing.F) {
	f.Add(int64(1), "a\x00\xff\\", []byte{0})
	f.Fuzz(func(t *testing.T, n int64, text string, b []byte) {
		if b == nil {
			b = []byte{}
		}
		line, portable := copytext.Append(nil, []any{n, text, b})
		row := make([]any, 3)
		back, err := copytext.Parse(line[:len(line)-1], columns, row)
		if err != nil || back != portable {
			t.Fatalf("%q: %v", line, err)
		}
		if diff := cmp.Diff([]any{n, text, b}, row); diff != "" {
			t.Error(diff)
		}
	})
}
