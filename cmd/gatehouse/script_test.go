package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/outbound/buckettest"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
)

// scriptCommands are the scripts' commands in addition to testscript's own.
var scriptCommands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"bucket":    bucket,
	"exits":     exits,
	"serving":   serving,
	"terminate": terminate,
	"request":   request,
	"soon":      soon,
	"field":     field,
	"mode":      mode,
	"accounts":  accounts,
	"sql":       sql,
	"occupy":    occupy,
	"begin":     begin,
	"finish":    finish,
	"mailing":   mailing,
	"freeport":  freePort,
}

// patience is how long a script waits for what takes milliseconds.
const patience = 30 * time.Second

func want(ts *testscript.TestScript, neg bool, args []string, least, most int, usage string) {
	if neg || len(args) < least || len(args) > most {
		ts.Fatalf("usage: %s", usage)
	}
}

// exits runs a program and asks for its exit code, which ! does not.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, 100, "exits code program [argument...]")
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%s did not run: %v", args[1], err)
		}
		code = exit.ExitCode()
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("it exited with %d, not with %s", code, args[0])
	}
}

// serving waits until the server that writes to name.out and name.err serves.
// It leaves its addresses in $URL and $PROBES (of the admin listener), and in $TOKEN that of the
// set-up link, if there is one.
func serving(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, 1, "serving name")
	for start := time.Now(); time.Since(start) < patience; time.Sleep(10 * time.Millisecond) {
		log, err := os.ReadFile(ts.MkAbs(args[0] + ".err"))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			ts.Fatalf("%v", err)
		}
		for line := range strings.Lines(string(log)) {
			var l struct {
				Msg      string `json:"msg"`
				URL      string `json:"url"`
				AdminURL string `json:"admin_url"`
			}
			if json.Unmarshal([]byte(line), &l) == nil && l.Msg == "serving" {
				ts.Setenv("URL", l.URL)
				ts.Setenv("PROBES", l.AdminURL)
				ts.Setenv("TOKEN", setupToken(ts.ReadFile(args[0]+".out")))
				return
			}
		}
	}
	ts.Fatalf("%s does not serve:\n%s", args[0], ts.ReadFile(args[0]+".err"))
}

var setupLink = regexp.MustCompile(`/setup#(\S+)`)

func setupToken(welcome string) string {
	if m := setupLink.FindStringSubmatch(welcome); m != nil {
		return m[1]
	}
	return ""
}

// terminate asks what runs in the background to stop; testscript's kill has no
// SIGTERM.
func terminate(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 0, 0, "terminate")
	for _, c := range ts.BackgroundCmds() {
		ts.Check(c.Process.Signal(syscall.SIGTERM))
	}
}

// request makes an HTTP request with $BEARER, if that is set, and asks for the
// status of its answer. A body is JSON if it begins with a brace, else a form.
// The answer's body is the script's standard output.
func request(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 3, 4, "request status method url [body]")
	status, body := ask(ts, args[1:])
	_, _ = ts.Stdout().Write(body)
	if status != args[0] {
		ts.Fatalf("the status is %s, not %s: %s", status, args[0], body)
	}
}

// soon makes a request until its answer has the status, for what another process
// has done, of which the server learns within a second. It asks seldom, as limits want.
func soon(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 3, 4, "soon status method url [body]")
	for start := time.Now(); time.Since(start) < patience; time.Sleep(200 * time.Millisecond) {
		if status, _ := ask(ts, args[1:]); status == args[0] {
			return
		}
	}
	ts.Fatalf("the status never is %s", args[0])
}

func ask(ts *testscript.TestScript, args []string) (status string, body []byte) {
	text := strings.Join(args[2:], "")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, args[0], args[1], strings.NewReader(text))
	ts.Check(err)
	switch {
	case strings.HasPrefix(text, "{"):
		r.Header.Set("Content-Type", "application/json")
	case text != "":
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	r.Header.Set("User-Agent", "script/1")
	if token := ts.Getenv("BEARER"); token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := http.DefaultClient.Do(r)
	ts.Check(err)
	defer answer.Body.Close()
	body, err = io.ReadAll(answer.Body)
	ts.Check(err)
	return strconv.Itoa(answer.StatusCode), body
}

// underWay is where a request that has begun is kept.
type underWay struct{}

// begin sends a request but for the last byte of its body, and waits until the
// server wants that.
func begin(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, 1, "begin url")
	target, err := url.Parse(args[0])
	ts.Check(err)
	c, err := new(net.Dialer).DialContext(context.Background(), "tcp", target.Host)
	ts.Check(err)
	ts.Defer(func() { _ = c.Close() })
	ts.Check(c.SetDeadline(time.Now().Add(patience)))
	_, err = fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n{",
		target.Path, target.Host)
	ts.Check(err)
	line, err := bufio.NewReader(c).ReadString('\n')
	ts.Check(err)
	if !strings.Contains(line, "100") {
		ts.Fatalf("the server answers %q", line)
	}
	*ts.Value(underWay{}).(*net.Conn) = c
}

// finish sends the byte that was missing, and asks for the status of the answer.
func finish(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, 1, "finish status")
	c := *ts.Value(underWay{}).(*net.Conn)
	_, err := c.Write([]byte("}"))
	ts.Check(err)
	answer, err := io.ReadAll(c)
	ts.Check(err)
	if !strings.Contains(string(answer), "HTTP/1.1 "+args[0]+" ") {
		ts.Fatalf("the server answers %q", answer)
	}
}

// field puts a text in the JSON on standard output into a variable.
func field(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, 2, "field name variable")
	var fields map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &fields))
	text, ok := fields[args[0]].(string)
	if !ok {
		ts.Fatalf("there is no text %s: %v", args[0], fields)
	}
	ts.Setenv(args[1], text)
}

// mode asks for the permissions of files.
func mode(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, 2, "mode permissions pattern")
	files, err := filepath.Glob(ts.MkAbs(args[1]))
	ts.Check(err)
	if len(files) == 0 {
		ts.Fatalf("there is no %s", args[1])
	}
	for _, file := range files {
		info, err := os.Stat(file)
		ts.Check(err)
		if got := "0" + strconv.FormatUint(uint64(info.Mode().Perm()), 8); got != args[0] {
			ts.Fatalf("%s has mode %s, not %s", file, got, args[0])
		}
	}
}

// database opens the script's database, as the command line does.
func database(ts *testscript.TestScript) *db.DB {
	at := ts.Getenv("DATABASE_URL")
	if at == "" {
		at = "sqlite:" + ts.MkAbs("data/gatehouse.db")
	}
	d, err := db.Open(context.Background(), db.Config{URL: at})
	ts.Check(err)
	return d
}

// accounts makes so many accounts, 0@example.org and so on, in that order.
func accounts(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, 1, "accounts number")
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	d := database(ts)
	start := time.Now()
	const each = 100 // in a transaction, which has 10 s
	for from := 0; from < n && err == nil; from += each {
		err = d.Write(context.Background(), func(tx *db.Tx) error { return makeAccounts(tx, start, from, min(from+each, n)) })
	}
	ts.Check(errors.Join(err, d.Close()))
}

// makeAccounts makes those of the numbers, a millisecond apart.
func makeAccounts(tx *db.Tx, start time.Time, from, until int) error {
	for i := from; i < until; i++ {
		at := start.Add(time.Duration(i) * time.Millisecond)
		address, err := account.ParseAddress("email", strconv.Itoa(i)+"@example.org")
		if err != nil {
			return err
		}
		if _, _, err := account.Create(tx, account.New{ID: secret.Random{}.ID(at), Address: address}, at); err != nil {
			return err
		}
	}
	return nil
}

// sql runs one statement.
func sql(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, 1, "sql statement")
	d := database(ts)
	err := d.Write(context.Background(), func(tx *db.Tx) error {
		_, err := tx.Exec(args[0])
		return err
	})
	ts.Check(errors.Join(err, d.Close()))
}

// occupy takes a port and leaves its address in a variable.
func occupy(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, 1, "occupy variable")
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { _ = l.Close() })
	ts.Setenv(args[0], l.Addr().String())
}

// freePort leaves the address of a port that nobody has in a variable.
func freePort(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, 1, "freeport variable")
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Check(l.Close())
	ts.Setenv(args[0], l.Addr().String())
}

// bucket starts a server that speaks S3, and leaves what names its bucket in $BUCKET and what opens it in the settings.
func bucket(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 0, 0, "bucket")
	s, stop, err := buckettest.Serve(ts.MkAbs("bucket"), false)
	ts.Check(err)
	ts.Defer(stop)
	ts.Setenv("BUCKET", s.URL)
	ts.Setenv("BACKUP_S3_ACCESS_KEY_ID", buckettest.Key)
	ts.Check(os.WriteFile(ts.MkAbs("bucket-key"), []byte(buckettest.Secret+"\n"), 0o600))
	ts.Setenv("BACKUP_S3_SECRET_ACCESS_KEY_FILE", ts.MkAbs("bucket-key"))
}
