package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/ops/backup"
	"github.com/gatehouse-auth/gatehouse/internal/ops/respond"
)

// The made-up breach: two networks that nobody else uses, an administrator whose password was guessed, whom the attack made an
// administrator, and the application that it registered.
const (
	drillNetworks = "203.0.113.0/24,198.51.100.0/24"
	drillRogue    = "newsletter"
	drillPeople   = 12
)

var drillAddresses = []string{"203.0.113.7", "198.51.100.9"}

// drillPerson is the address of one of the made-up people: the first is an administrator.
func drillPerson(i int) string { return fmt.Sprintf("person%d@drill.example", i) }

// Drill is a made-up breach in an installation that is made for it and goes with it: it has settings of its own, and reads none of the
// real one's.
type Drill struct {
	// Dir is its folder, EnvFile in it the settings for commands.
	Dir, EnvFile string
	Config       *config.Config
	Desk         *respond.Desk
	server       *Server
	passphrase   string
	stop         func() error
}

// NewDrill makes the installation in a folder, which is new or empty, and starts its server.
func NewDrill(ctx context.Context, dir, version string) (*Drill, error) {
	random := secret.Random{}
	key, recipient, err := backup.NewKey()
	if err != nil {
		return nil, err
	}
	environ := []string{
		"ENVIRONMENT=development", "DATABASE_URL=sqlite:" + filepath.Join(dir, "drill.db"), "LISTEN_ADDR=127.0.0.1:0", "ADMIN_LISTEN_ADDR=127.0.0.1:0",
		"JWT_SECRET_KEY=" + random.Text(48), "EVENT_KEY=" + random.Text(48), "TRUSTED_PROXIES=127.0.0.1", "PASSWORD_BREACH=off", "BCRYPT_COST=4",
		"LOGIN_RATE_LIMIT_ATTEMPTS=10000", "API_RATE_LIMIT_REQUESTS=100000", "BACKUP_RECIPIENTS=" + recipient, "SERVICE_NAME=Drill",
	}
	d := &Drill{Dir: dir, EnvFile: filepath.Join(dir, "drill.env"), passphrase: random.Text(24)}
	d.Config, err = config.Load(config.Source{Environ: environ, ReadFile: func(string) ([]byte, error) { return nil, fs.ErrNotExist }})
	if err != nil {
		return nil, fmt.Errorf("the settings of the drill: %w", err)
	}
	var file bytes.Buffer
	for _, line := range environ {
		fmt.Fprintln(&file, line)
	}
	const ownersFile = 0o600
	err = errors.Join(os.WriteFile(d.EnvFile, file.Bytes(), ownersFile), os.WriteFile(filepath.Join(dir, "key.txt"), []byte(key+"\n"), ownersFile))
	if err != nil {
		return nil, err
	}
	quiet := slog.New(slog.DiscardHandler)
	serving, cancel := context.WithCancel(ctx)
	if d.server, err = Start(serving, d.Config, Options{Log: quiet, Version: version}); err != nil {
		cancel()
		return nil, fmt.Errorf("serving the drill: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- d.server.Run(serving) }()
	desk, closeDesk, err := OperatorIncidents(ctx, d.Config, quiet, quiet)
	if err != nil {
		cancel()
		return nil, errors.Join(err, <-ended)
	}
	d.Desk = desk
	d.stop = func() error {
		cancel()
		return errors.Join(closeDesk(), <-ended)
	}
	return d, nil
}

// Close stops the server. The folder stays, for who made it to delete.
func (d *Drill) Close() error { return d.stop() }

// drillOrigin is where what the drill does by itself comes from.
var drillOrigin = event.Origin{RequestID: "drill", UserAgent: "gatehouse incident drill", Actor: "drill"}

// Plant plants the breach: refresh tokens that are used again from two networks, passwords that are tried across accounts until an
// administrator's is right, and what is done in that session.
func (d *Drill) Plant(ctx context.Context) error {
	for i := range drillPeople {
		roles := []string{}
		if i == 0 {
			roles = append(roles, account.Admin)
		}
		in := flow.Credentials{Email: drillPerson(i), Password: d.passphrase}
		if _, err := d.Desk.Operator.CreateUser(ctx, in, roles, drillOrigin); err != nil {
			return fmt.Errorf("the people of the drill: %w", err)
		}
	}
	for i, attacker := range drillAddresses {
		if err := d.steal(ctx, drillPerson(i+1), attacker); err != nil {
			return err
		}
	}
	for i := range drillPeople {
		err := d.ask(ctx, drillAddresses[0], "POST", "/v1/login", "", map[string]any{"email": drillPerson(i), "password": "Summer2026! Summer2026!"}, nil)
		if err == nil {
			return errors.New("a made-up password was right")
		}
	}
	return d.administer(ctx)
}

// drillTokens is what the drill reads of a sign-in.
type drillTokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
}

func (d *Drill) signIn(ctx context.Context, from, email string) (t drillTokens, err error) {
	return t, d.ask(ctx, from, "POST", "/v1/login", "", map[string]any{"email": email, "password": d.passphrase}, &t)
}

// steal has somebody sign in and refresh twice, and an attacker use their first refresh token.
func (d *Drill) steal(ctx context.Context, email, attacker string) error {
	const home = "192.0.2.20"
	stolen, err := d.signIn(ctx, home, email)
	for t := stolen; err == nil; {
		for range 2 {
			if err := d.ask(ctx, home, "POST", "/v1/token/refresh", "", map[string]any{"refresh_token": t.Refresh}, &t); err != nil {
				return err
			}
		}
		if d.ask(ctx, attacker, "POST", "/v1/token/refresh", "", map[string]any{"refresh_token": stolen.Refresh}, nil) == nil {
			return errors.New("a refresh token was good twice")
		}
		return nil
	}
	return err
}

// administer has the attacker sign in as the administrator, make somebody an administrator, and register an application.
func (d *Drill) administer(ctx context.Context) error {
	from := drillAddresses[0]
	t, err := d.signIn(ctx, from, drillPerson(0))
	if err != nil {
		return err
	}
	mule, err := d.Desk.Operator.User(ctx, drillPerson(drillPeople-1))
	if err != nil {
		return err
	}
	roles := map[string]any{"roles": []string{account.Admin}, "reason": "Support on call"}
	if err := d.ask(ctx, from, "PUT", "/v1/admin/users/"+mule.ID+"/roles", t.Access, roles, nil); err != nil {
		return err
	}
	app := map[string]any{
		"name": drillRogue, "type": "web", "settings": map[string]any{"redirect_uris": []string{"https://drill.example/callback"}}, "reason": "Marketing",
	}
	return d.ask(ctx, from, "POST", "/v1/admin/clients", t.Access, app, nil)
}

// ask makes a request that comes from an address, and reads its answer.
func (d *Drill) ask(ctx context.Context, from, method, path, bearer string, body map[string]any, answer any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, method, d.server.URL()+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Forwarded-For", from)
	r.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	// Straight to our own listener: no proxy of the environment's, and nobody's redirect.
	straight := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	a, err := straight.Do(r)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	got, err := io.ReadAll(io.LimitReader(a.Body, 1<<20))
	if err != nil {
		return err
	}
	if a.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("the drill: %s %s: %s: %s", method, path, a.Status, got)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(got, answer)
}

// drillPoll is how often the drill looks whether a step is done.
const drillPoll = 500 * time.Millisecond
