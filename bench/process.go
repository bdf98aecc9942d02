package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/bench"
)

// process is a server that was started for the benchmark.
type process struct {
	cmd *exec.Cmd
	url *url.URL
	// answered is how long it took from the start to the first good answer.
	answered time.Duration
}

// master is the JWT_SECRET_KEY of every server here.
const master = "q7Vx2mZp9LtRw4KcYb8NsHf3GdJ6TaEu"

// eventKey is the EVENT_KEY of every server here.
const eventKey = "Hs4kPz8vWd2Qx7LmTn5RbYc9JgFa3EuK" //gitleaks:allow

// startGatehouse starts the binary on a database and waits until it is ready.
// The settings are NAME=value.
func (r *run) startGatehouse(ctx context.Context, dbURL string, settings ...string) (*process, error) {
	public, err := freeAddress()
	if err != nil {
		return nil, err
	}
	admin, err := freeAddress()
	if err != nil {
		return nil, err
	}
	r.servers++
	log, err := os.Create(filepath.Join(r.folder, fmt.Sprintf("gatehouse-%d.log", r.servers)))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.CommandContext(ctx, r.binary, "serve") //nolint:gosec // the binary that we built
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "DATABASE_URL=" + dbURL, "JWT_SECRET_KEY=" + master, "EVENT_KEY=" + eventKey,
		"LISTEN_ADDR=" + public, "ADMIN_LISTEN_ADDR=" + admin,
		"API_RATE_LIMIT_REQUESTS=1000000", "LOGIN_RATE_LIMIT_ATTEMPTS=1000000", "REGISTRATION_RATE_LIMIT_ATTEMPTS=1000000",
	}, settings...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = r.folder, log, log
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, url: &url.URL{Scheme: "http", Host: public}}
	for time.Since(began) < 30*time.Second {
		if ready(ctx, "http://"+admin+"/readyz") {
			p.answered = time.Since(began)
			return p, nil
		}
		time.Sleep(2 * time.Millisecond)
	}
	p.stop()
	text, _ := os.ReadFile(log.Name())
	return nil, fmt.Errorf("the server did not become ready:\n%s", text)
}

// startBare starts this program again as the bare handler.
func startBare(ctx context.Context) (*process, error) { return startSelf(ctx, "-bare") }

// startSelf starts this program again as a server that prints its URL.
func startSelf(ctx context.Context, args ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, args...) //nolint:gosec // ourselves
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("the handler did not start: %w", err)
	}
	u, err := url.Parse(strings.TrimSpace(line))
	return &process{cmd: cmd, url: u}, err
}

// sender makes single calls, whose bodies are forms.
func (p *process) sender(ctx context.Context) bench.Send {
	return func(method, path string, body []byte) (int, []byte, error) {
		req, err := http.NewRequestWithContext(ctx, method, p.url.String()+path, bytes.NewReader(body))
		if err != nil {
			return 0, nil, err
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, nil, err
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		return res.StatusCode, text, err
	}
}

func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Wait()
}

// command runs one of the binary's to its end, and returns the most memory that it
// had, in MB. The kernel is asked while it runs: what it reports at the end (ru_maxrss)
// begins with what this process had when it started the other.
func (r *run) command(ctx context.Context, env []string, args ...string) (float64, error) {
	c := exec.CommandContext(ctx, r.binary, args...) //nolint:gosec // the binary that we built
	c.Dir, c.Env = r.folder, append(os.Environ(), env...)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		return 0, err
	}
	ended, peaked := make(chan struct{}), make(chan float64)
	go func() { peaked <- peakUntil(ended, c.Process.Pid) }()
	err := c.Wait()
	close(ended)
	peak := <-peaked
	r.spent = spent(c)
	if err != nil {
		return 0, fmt.Errorf("gatehouse %s: %w\n%s", strings.Join(args, " "), err, out.Bytes())
	}
	if peak == 0 {
		return 0, errors.New("the command ended before the kernel could be asked how much memory it had")
	}
	return peak, nil
}

// spent is the processor time, in seconds, of a command that has ended and of those that it waited for.
func spent(c *exec.Cmd) float64 {
	return (c.ProcessState.UserTime() + c.ProcessState.SystemTime()).Seconds()
}

// peakUntil returns a process's peak of resident memory in MB, as it stood at most
// 10 ms before its end.
func peakUntil(ended <-chan struct{}, pid int) (peak float64) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if mb, err := memoryOf(pid, "VmHWM:"); err == nil {
			peak = mb
		}
		select {
		case <-ended:
			return peak
		case <-tick.C:
		}
	}
}

// memory is the process's resident memory in MB.
func (p *process) memory() (float64, error) { return memoryOf(p.cmd.Process.Pid, "VmRSS:") }

// memoryOf returns one of the figures of /proc/PID/status, in MB.
func memoryOf(pid int, name string) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == name {
			kb, err := strconv.ParseFloat(f[1], 64)
			return kb * 1024 / 1e6, err
		}
	}
	return 0, fmt.Errorf("the kernel does not report %s", name)
}

func ready(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return false
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	res.Body.Close()
	return res.StatusCode == http.StatusOK
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // at once
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
