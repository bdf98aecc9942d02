package doctor

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/limit/redistest"
	"github.com/gatehouse-auth/gatehouse/internal/base/mail/mailtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/ops/backup"
	"github.com/gatehouse-auth/gatehouse/internal/ops/doctor"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// rig is a deployment as production has it, each part of which can be broken: PostgreSQL with TLS, as the serving role, on a
// server that syncs; Redis with TLS and an ACL; a mail server with TLS and a password; DNS, a time server; nginx as
// `gatehouse nginx --guard` prints it, in front of an application.
type rig struct {
	*testing.T
	h        *harness.Server
	settings map[string]string // the server's, and the doctor's
	super    *db.DB
	install  dbtest.Installation
	role     string // the serving one
	redis    *redistest.Server
	mail     *mailtest.Server
	zone     *zone
	time     *hourglass
	dir      string
	name     string // the certificate's, by its paths
	block    string // nginx's, with LISTENS and PLAIN
	cookies  string
	fronts   map[string]string // addresses by the block that nginx has there
}

const (
	rigHost     = "auth.tidewater.net"
	rigConsole  = "admin.tidewater.net"
	redisSecret = "vK3qLw8Zr5Tn2YbXc7MdJp4Hs6Gf9AeQ"
	dkimKey     = "v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAu1SU1LfVLPHCozMxH2Mo4lgOEePzNm0tRgeLezV6ffAt0gunVTLw7onLRnrq0" +
		"/IzW7yWR7QkrmBL7jTKEn5u+qKhbwKfBstIs+bMY2Zkp18gnTxKLxoS2tFczGkPLPgizskuemMghRniWaoLcyehkd3qqGElvW/VDL5AaWTg0nLVkjRo9z+40RQzuVaE8" +
		"AkAFmxZzow3x+VJYKdjykkJ0iT9wCS0DRTXu269V264Vf/3jvredZiKRkgwlL9xNAwxXFg0x/XFw005UWVRIkdgcKWTjpBP2dPwVZ4WWC+9aGVd+Gyn1o0CLelf4rEjG" +
		"oXbAAEgAqeGUxrcIlbjXfbcmwIDAQAB"
)

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{T: t, dir: dbtest.Folder(t), fronts: map[string]string{}}
	serverCert, serverKey := certify(t, r.dir, "database", time.Now().Add(80*24*time.Hour))
	owner, err := os.Stat(r.dir)
	if err != nil {
		t.Fatal(err)
	}
	if id, ok := owner.Sys().(*syscall.Stat_t); ok {
		if err := os.Chown(serverKey, int(id.Uid), int(id.Gid)); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(serverCert, int(id.Uid), int(id.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	server := dbtest.NewServer(t, "fsync=on", "ssl=on", "ssl_cert_file="+serverCert, "ssl_key_file="+serverKey)
	i := server.Serving()
	r.install, r.super, r.role = i, dbtest.Open(t, i.Admin), i.Roles.Serving
	secured := strings.Replace(i.Serving, "sslmode=disable", "sslmode=verify-full&sslrootcert="+serverCert, 1)

	var addr, ca string
	r.redis, addr, ca = redistest.Beside(t)
	r.redis.Do("ACL", "SETUSER", "gatehouse", "on", ">"+redisSecret, "resetkeys", "~gatehouse:limit:*", "resetchannels", "-@all", "+eval", "+evalsha", "+get",
		"+set", "+del", "+time", "+select", "+info")
	r.redis.Do("CONFIG", "SET", "maxmemory-policy", "noeviction")
	r.mail = mailtest.New(t, mailtest.Options{Implicit: true, User: "gate", Password: "p4ssw0rdOfTheTests"})
	r.zone = newZone(t, map[string][]string{
		"tidewater.net": {"v=spf1 ip4:192.0.2.0/24 -all", "something=else"}, "_dmarc.tidewater.net": {"v=DMARC1; p=reject; rua=mailto:d@tidewater.net"},
		"s2030._domainkey.tidewater.net": {dkimKey},
	})
	r.time = newHourglass(t)
	r.settings = map[string]string{
		"DATABASE_URL": secured, "MIGRATE": "off", "REDIS_URL": "rediss://gatehouse:" + redisSecret + "@" + addr + "?ca=" + ca,
		"JWT_SECRET_KEY": harness.SecretKey, "EVENT_KEY": harness.EventKey, "PUBLIC_URL": "https://" + rigHost, "TRUSTED_PROXIES": "127.0.0.1",
		"ADMIN_URL":      "https://" + rigConsole,
		"ADMIN_NETWORKS": "10.8.0.0/16", "CORS_ORIGINS": "https://app.tidewater.net", "SESSION_COOKIE_SECURE": "true", "SESSION_COOKIE_SAMESITE": "strict",
		"BCRYPT_COST": "12", "EMAIL_VERIFICATION": "required", "SMTP_URL": r.mail.URL, "MAIL_FROM": "auth@tidewater.net", "MAIL_DKIM_SELECTOR": "s2030",
		"NTP_SERVER": r.time.address, "EVENT_ANCHOR": "file:" + filepath.Join(t.TempDir(), "anchor"), "ALERT_MAIL_TO": "ops@tidewater.net",
		"SECOND_FACTOR": "admin,support", "CONNECTIONS_PER_ADDRESS": "256", "BACKUP_DIR": t.TempDir() + "," + t.TempDir(), "BACKUP_RECIPIENTS": recipient,
		"PRIVACY_FILE": r.write("privacy.txt", "# Privacy\n\nOurs."), "TERMS_FILE": r.write("terms.txt", "# Terms\n\nOurs."),
		"API_RATE_LIMIT_REQUESTS": "6000", "LOGIN_RATE_LIMIT_ATTEMPTS": "5", "REGISTRATION_RATE_LIMIT_ATTEMPTS": "5",
		"PASSWORD_RESET_RATE_LIMIT_ATTEMPTS": "30", "BACKUP_EVERY_HOURS": "24",
	}
	r.people(secured)
	r.serve()
	return r
}

func (r *rig) write(name, text string) string {
	r.Helper()
	path := filepath.Join(r.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil { //nolint:gosec // no secret
		r.Fatal(err)
	}
	return path
}

// people has accounts come about on the same database, before it is anybody's.
func (r *rig) people(dbURL string) {
	r.Helper()
	clock := &harness.Clock{}
	h := harness.OpenAt(r.T, dbURL, clock.Now, "BCRYPT_COST=12")
	h.AddApp(clock, "admin@example.org")
	h.Guest("other@example.org")
	if _, err := h.Operator().SetRoles(h.Context(), "admin@example.org", []string{"admin"}, harness.OriginOfTests); err != nil {
		r.Fatal(err)
	}
	if _, _, err := h.Operator().CreateClient(h.Context(), "shop", harness.OriginOfTests); err != nil {
		r.Fatal(err)
	}
	if err := h.Stop(); err != nil {
		r.Fatal(err)
	}
	r.do(`UPDATE account SET verified_at = created_at`, `DELETE FROM outbox`)
	now := time.Now()
	for _, kind := range []backup.Kind{backup.Drill, backup.Prove} {
		run := backup.Run{ID: secret.Random{}.ID(now), Kind: kind, Began: now, Ended: now, Snapshot: now, Backup: "01", Manifest: "00"}
		if err := r.super.Write(r.Context(), func(tx *db.Tx) error { return backup.Note(tx, run) }); err != nil {
			r.Fatal(err)
		}
	}
}

// serve starts the server, and the application that nginx guards.
func (r *rig) serve() {
	r.Helper()
	var list []string
	for name, value := range r.settings {
		list = append(list, name+"="+value)
	}
	r.h = harness.Open(r.T, r.settings["DATABASE_URL"], append(list, "ENVIRONMENT=production")...)
	r.settings["ADMIN_LISTEN_ADDR"] = strings.TrimPrefix(r.h.App.AdminURL(), "http://")
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { _ = q.Header.Write(w) }))
	r.Cleanup(echo.Close)
	block, err := app.Nginx(load(r.T, r.environment(nil)), strings.TrimPrefix(echo.URL, "http://"))
	if err != nil {
		r.Fatal(err)
	}
	cert, key := certify(r.T, r.dir, rigHost, time.Now().Add(80*24*time.Hour), rigConsole)
	live, console := "/etc/letsencrypt/live/"+rigHost, "/etc/letsencrypt/live/"+rigConsole
	upstream, _, _ := strings.Cut(block[strings.Index(block, "    server "):], ";")
	r.block = strings.NewReplacer("rate=20r/s", "rate=5000r/s", "    listen [::]:443 ssl http2;\n", "", "    listen [::]:80;\n", "", "listen 443",
		"listen LISTENS", "listen 80", "listen PLAIN",
		console+"/fullchain.pem", cert, console+"/privkey.pem", key, live+"/fullchain.pem", cert, live+"/privkey.pem", key, upstream,
		"    server "+strings.TrimPrefix(r.h.App.URL(), "http://")).Replace(block)
	r.name = cert
	r.signIn()
}

// signIn has somebody sign in through nginx, whose cookies the doctor is given.
func (r *rig) signIn() {
	r.Helper()
	body := `{"email":"other@example.org","password":"` + harness.Passphrase + `","cookies":true}`
	status, header, text := r.post("/v1/login", body)
	if status != http.StatusOK {
		r.Fatalf("the sign-in: %d %s", status, text)
	}
	for _, c := range (&http.Response{Header: header}).Cookies() {
		r.cookies += "; " + c.Name + "=" + c.Value
	}
	r.cookies = strings.TrimPrefix(r.cookies, "; ")
}

func (r *rig) post(path, body string) (int, http.Header, string) {
	r.Helper()
	q, err := http.NewRequestWithContext(r.Context(), http.MethodPost, r.h.App.URL()+path, strings.NewReader(body))
	if err != nil {
		r.Fatal(err)
	}
	q.Host = rigHost
	q.Header = http.Header{"Content-Type": {"application/json"}, "X-Forwarded-For": {"192.0.2.77"}, "X-Forwarded-Proto": {"https"},
		"Origin": {"https://" + rigHost}}
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		r.Fatal(err)
	}
	defer a.Body.Close()
	var b bytes.Buffer
	if _, err := io.Copy(&b, a.Body); err != nil {
		r.Fatal(err)
	}
	return a.StatusCode, a.Header, b.String()
}

// in has the rig go on with another test, when what it started for the one before is gone.
func (r *rig) in(t *testing.T) {
	r.T, r.fronts = t, map[string]string{}
}

// do runs statements as the superuser.
func (r *rig) do(statements ...string) {
	r.Helper()
	for _, s := range statements {
		if err := r.super.Write(r.Context(), func(tx *db.Tx) error { _, err := tx.Exec(s); return err }); err != nil {
			r.Fatalf("%s: %v", s, err)
		}
	}
}

// environment is the settings with changes; "-" takes one away.
func (r *rig) environment(changes map[string]string) map[string]string {
	all := maps.Clone(r.settings)
	maps.Copy(all, changes)
	return all
}

// outside is a look through an nginx whose block is changed.
func (r *rig) outside(changes []string) *app.Outside {
	r.Helper()
	block := r.block
	for i := 0; i+1 < len(changes); i += 2 {
		if !strings.Contains(block, changes[i]) {
			r.Fatalf("nginx's block has no %q:\n%s", changes[i], block)
		}
		block = strings.ReplaceAll(block, changes[i], changes[i+1])
	}
	if r.fronts[block] == "" {
		listens, plain := harness.FreePort(r.T), harness.FreePort(r.T)
		harness.Nginx(r.T, listens, strings.NewReplacer("LISTENS", listens, "PLAIN", plain).Replace(block))
		r.fronts[block] = listens + " " + plain
	}
	listens, plain, _ := strings.Cut(r.fronts[block], " ")
	pem, err := os.ReadFile(r.name)
	if err != nil {
		r.Fatal(err)
	}
	o, err := app.NewOutside("https://"+rigHost, pem, time.Now)
	if err != nil {
		r.Fatal(err)
	}
	o.Connect, o.ConnectPlain, o.Origins = listens, plain, []string{"https://app.tidewater.net"}
	o.Console = "https://" + rigConsole
	o.Guarded, o.Echo, o.Cookies = []string{"https://" + rigHost + "/app"}, "https://"+rigHost+"/whoami", r.cookies
	return o
}

// look has the doctor look, with what is planted. Without production's rules, which refuse much of what is planted, unless
// nothing is.
func (r *rig) look(faults ...fault) doctor.Report {
	r.Helper()
	changes, nginx, ahead := map[string]string{}, []string{}, time.Duration(0)
	if len(faults) == 0 {
		changes["ENVIRONMENT"] = "production"
	}
	for _, f := range faults {
		maps.Copy(changes, f.settings)
		nginx, ahead = append(nginx, f.nginx...), ahead+f.ahead
	}
	c := load(r.T, r.environment(changes))
	d, why := app.OpenExamined(r.Context(), c)
	if d != nil {
		defer d.Close()
	}
	now := func() time.Time { return time.Now().Add(ahead) }
	o := r.outside(nginx)
	for _, f := range faults {
		if f.outside != nil {
			f.outside(o)
		}
	}
	e := app.Deployment{Config: c, DB: d, Why: why, Now: now, Outside: o, Names: r.zone.resolver(), Version: "test", Built: time.Now().Add(-day)}
	for _, f := range faults {
		if f.deployed != nil {
			f.deployed(&e)
		}
	}
	return doctor.Run(r.Context(), e.Checks(), now())
}

// bad are the rules of a report that failed, and of what could not be looked at.
func bad(report doctor.Report) (failed, unknown []string) {
	for _, f := range report.Findings {
		switch f.State {
		case doctor.Failed:
			failed = append(failed, f.Rule)
		case doctor.Unknown:
			unknown = append(unknown, f.Rule)
		}
	}
	slices.Sort(failed)
	slices.Sort(unknown)
	return failed, unknown
}

// rigPatience is how long a fault may take to be found.
var rigPatience = harness.Patience

// finds has the doctor look until it finds just what is planted: a busy machine's server is not ready for a moment, now and then.
func (r *rig) finds(faults ...fault) {
	r.Helper()
	var want, blind, perhaps []string
	production := false
	for _, f := range faults {
		want, blind = append(append(want, f.rule), f.also...), append(blind, f.blinds...)
		perhaps = append(perhaps, f.perhaps...)
		production = production || f.settings["ENVIRONMENT"] == "production"
	}
	if len(faults) > 0 && !production {
		want = append(want, "ENV-1/environment") // see look
	}
	slices.Sort(want)
	want = slices.Compact(want)
	var report doctor.Report
	for first := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		report = r.look(faults...)
		failed, unknown := bad(report)
		failed = slices.DeleteFunc(failed, func(rule string) bool { return !slices.Contains(want, rule) && slices.Contains(perhaps, rule) })
		unknown = slices.DeleteFunc(unknown, func(rule string) bool { return slices.Contains(blind, rule) || slices.Contains(blind, "*") })
		if slices.Equal(failed, want) && len(unknown) == 0 {
			break
		}
		if time.Since(first) < rigPatience {
			continue
		}
		var said strings.Builder
		for _, f := range report.Findings {
			if f.State == doctor.Failed && !slices.Contains(want, f.Rule) || slices.Contains(unknown, f.Rule) || slices.Contains(want, f.Rule) {
				fmt.Fprintf(&said, "\n%s %s: %s", f.State, f.Rule, f.Evidence)
			}
		}
		r.Errorf("%v are planted: failed %v, unknown %v:%s", want, failed, unknown, said.String())
		break
	}
	for _, f := range report.Findings {
		if slices.Contains(want, f.Rule) && (f.Evidence == "" || f.Mend == "") {
			r.Errorf("%s says %q, %q", f.Rule, f.Evidence, f.Mend)
		}
		for _, hidden := range []string{harness.SecretKey, harness.EventKey, redisSecret, "p4ssw0rdOfTheTests", mustURL(r.settings["DATABASE_URL"]), r.cookies} {
			if strings.Contains(f.Evidence+f.Mend, hidden) {
				r.Errorf("%s shows a secret: %s %s", f.Rule, f.Evidence, f.Mend)
			}
		}
	}
}

// mustURL is the password in a URL.
func mustURL(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		panic(err)
	}
	password, _ := u.User.Password()
	return password
}
