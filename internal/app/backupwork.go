package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/job"
	"github.com/gatehouse-auth/gatehouse/internal/ops/backup"
)

// backupRunsKept is for how long it is kept what was done with backups.
const backupRunsKept = 400 * 24 * time.Hour

// backups makes backups when they are due, and tells how they stand.
type backups struct {
	*base
	keeper *backup.Keeper
	astray atomic.Value // a string: what is wrong with the newest one
}

// newBackups looks after the backups, where BACKUP_DIR says that there are any.
func newBackups(b *base) (capability, error) {
	forget := inBatches(b.db, "forget-backup-runs", 24*time.Hour, func(tx *db.Tx, limit int) (int64, error) {
		return backup.Forget(tx, b.now().Add(-backupRunsKept), limit)
	})
	w := &backups{base: b}
	w.astray.Store("")
	if len(b.config.Backups.Dirs) == 0 {
		return capability{name: "backups", jobs: []job.Job{forget}, metrics: []prometheus.Collector{backupMetrics{w}}}, nil
	}
	var err error
	if w.keeper, err = keeper(b.config, b.db, b.events, b.jobs, b.version, b.now); err != nil {
		return capability{}, err
	}
	jobs := []job.Job{forget}
	if l := w.keeper.Maker.Ledger; l != nil {
		jobs = append(jobs, (&ledgerJob{ledger: l, now: b.now}).job())
	}
	return capability{
		name: "backups", jobs: jobs, metrics: []prometheus.Collector{backupMetrics{w}},
		loops: []func(context.Context){w.run}, warnings: []check{warning("backups", w.trouble)},
	}, nil
}

// run looks each minute whether a backup is due, and each hour whether the newest is where
// it should be.
func (w *backups) run(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for n := 0; ; n++ {
		if len(w.keeper.Maker.Recipients.Names) > 0 {
			if err := w.keeper.Step(ctx); backup.Keeps(err) {
				w.log.Info("A backup was made, and older ones stay although BACKUP_KEEP lets them go.", "why", err.Error())
			} else if err != nil && ctx.Err() == nil {
				w.failed(ctx, "No backup could be made, or it could not be drilled, or old ones not be deleted; it is tried again.", err)
			}
		}
		if n%60 == 0 {
			text, err := w.keeper.Astray(ctx, w.ring.InstallID)
			if err != nil && ctx.Err() == nil {
				w.log.Warn("The newest backup can't be looked at.", "error", err.Error())
			}
			w.astray.Store(text)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// trouble is what readyz warns of.
func (w *backups) trouble(ctx context.Context) string {
	if text, _ := w.astray.Load().(string); text != "" {
		return text
	}
	st, err := w.standing(ctx)
	switch {
	case err != nil:
		return ""
	case len(w.keeper.Maker.Recipients.Names) == 0:
		return "BACKUP_RECIPIENTS is not set"
	case st.Trouble(w.now(), w.keeper.Every) > 0:
		return "late, failing, or not drilled"
	}
	if lag, err := w.ledgerLag(ctx); err == nil && lag > backup.LedgerLate {
		return "the ledger is behind"
	}
	return ""
}

func (w *backups) standing(ctx context.Context) (st backup.Standing, err error) {
	err = w.db.Read(ctx, func(tx *db.Tx) (err error) { st, err = backup.Stand(tx); return err })
	return st, err
}

// backupMetrics tells how the backups stand, on all replicas the same; nothing while the
// database can't be asked.
type backupMetrics struct{ w *backups }

var (
	backupGood = prometheus.NewDesc("gatehouse_backup_newest_timestamp_seconds",
		"The moment that the newest backup is of, since 1970; 0 if there is none.", nil, nil)
	backupFailures = prometheus.NewDesc("gatehouse_backup_failures", "How many tries to make a backup have failed since the newest one was made.", nil, nil)
	backupDrilled  = prometheus.NewDesc("gatehouse_backup_drilled_timestamp_seconds",
		"When a backup was last drilled and went well, since 1970; 0 if never.", nil, nil)
	backupProved = prometheus.NewDesc("gatehouse_backup_key_proved_timestamp_seconds",
		"When somebody last opened a backup with their own key, since 1970; 0 if never.", nil, nil)
	backupAstray = prometheus.NewDesc("gatehouse_backup_newest_astray", "1 if the newest backup is gone from where it was put, or was changed there.", nil, nil)
)

// Describe implements prometheus.Collector.
func (backupMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{backupGood, backupFailures, backupDrilled, backupProved, backupAstray, ledgerBehind} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m backupMetrics) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	st, err := m.w.standing(ctx)
	if err != nil {
		return
	}
	lag, err := m.w.ledgerLag(ctx)
	if err != nil {
		return
	}
	seconds := func(t time.Time) float64 {
		if t.IsZero() {
			return 0
		}
		return float64(t.Unix())
	}
	astray := 0.0
	if text, _ := m.w.astray.Load().(string); text != "" {
		astray = 1
	}
	for d, v := range map[*prometheus.Desc]float64{
		backupGood: seconds(st.Good), backupFailures: float64(st.Failures), backupDrilled: seconds(st.Drilled), backupProved: seconds(st.Proved),
		backupAstray: astray, ledgerBehind: lag.Seconds(),
	} {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v)
	}
}

// backupTrouble counts what is wrong with the backups, for the alert; nil where there are
// none.
func backupTrouble(c *config.Config) func(tx *db.Tx, now time.Time) (int64, error) {
	if len(c.Backups.Dirs) == 0 || c.Backups.Recipients == "" {
		return nil
	}
	return func(tx *db.Tx, now time.Time) (int64, error) {
		st, err := backup.Stand(tx)
		n := st.Trouble(now, c.Backups.Every)
		if err != nil {
			return n, err
		}
		lag, err := backup.Behind(tx, now)
		if lag > backup.LedgerLate {
			n++
		}
		return n, err
	}
}

// tryRestored serves a restored database on this machine alone, with mails, jobs' stores and
// everything else that reaches out left off, and has a made-up person register, sign in and
// refresh there.
func tryRestored(c *config.Config, master, eventKey string) func(ctx context.Context, url string) error {
	return func(ctx context.Context, url string) error {
		scratch, err := config.Load(config.Source{
			Environ: []string{
				"ENVIRONMENT=development", "DATABASE_URL=" + url, "LISTEN_ADDR=127.0.0.1:0", "ADMIN_LISTEN_ADDR=127.0.0.1:0", "JWT_SECRET_KEY=" + master,
				"EVENT_KEY=" + eventKey, "PASSWORD_PEPPER=" + c.PasswordPepper.Reveal(), "PASSWORD_PEPPER_PREVIOUS=" + c.PasswordPepperPrevious.Reveal(),
				"JWT_ALGORITHM=" + c.JWTAlgorithm, "PASSWORD_BREACH=off", "BCRYPT_COST=4",
			},
			ReadFile: func(string) ([]byte, error) { return nil, fs.ErrNotExist },
		})
		if err != nil {
			return fmt.Errorf("the settings of the drill: %w", err)
		}
		run, stop := context.WithCancel(ctx)
		defer stop()
		s, err := Start(run, scratch, Options{Log: slog.New(slog.DiscardHandler), Version: "drill"})
		if err != nil {
			return fmt.Errorf("serving the restored database: %w", err)
		}
		ended := make(chan error, 1)
		go func() { ended <- s.Run(run) }()
		err = signInThere(ctx, s.URL())
		stop()
		return errors.Join(err, <-ended)
	}
}

// signInThere registers a made-up person at a server, signs in and refreshes.
func signInThere(ctx context.Context, url string) error {
	// Sessions of the first two seconds after a restore are dead with those before it.
	if err := backup.Sleep(ctx, 3*time.Second); err != nil {
		return err
	}
	random := secret.Random{}
	who := map[string]string{"email": "drill-" + random.ID(time.Now()) + "@drill.example", "password": random.Text(32)}
	if _, err := call(ctx, url+"/v1/register", who); err != nil {
		return err
	}
	answer, err := call(ctx, url+"/v1/login", who)
	if err != nil {
		return err
	}
	_, err = call(ctx, url+"/v1/token/refresh", map[string]string{"refresh_token": answer.RefreshToken})
	return err
}

// called is what the drill reads of an answer.
type called struct {
	RefreshToken string `json:"refresh_token"`
}

func call(ctx context.Context, url string, body map[string]string) (answer called, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	b, err := json.Marshal(body)
	if err != nil {
		return answer, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(b))
	if err != nil {
		return answer, err
	}
	req.Header.Set("Content-Type", "application/json")
	// Straight to our own listener: no proxy of the environment's, and nobody's redirect.
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := client.Do(req)
	if err != nil {
		return answer, err
	}
	defer res.Body.Close()
	if res.StatusCode/100 != 2 {
		return answer, fmt.Errorf("the restored server answers %s with %d", req.URL.Path, res.StatusCode)
	}
	return answer, json.NewDecoder(res.Body).Decode(&answer)
}
