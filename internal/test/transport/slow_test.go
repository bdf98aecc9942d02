package transport_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// slow are slowhttptest's four attacks.
var slow = map[string][]string{
	"slow headers": {"-H", "-i", "1"},
	"slow bodies":  {"-B", "-i", "1", "-s", "8192"},
	"ranges":       {"-R", "-a", "1", "-b", "3000"},
	"slow readers": {"-X", "-w", "10", "-y", "20", "-n", "1", "-z", "5", "-k", "3"},
}

// NET-1: clients that take their time hold connections and nothing else: honest
// ones from another address are served. Nothing limits the connections of an
// address here. With GATEHOUSE_SOAK=1 each attack has 4,000.
func TestNET1_SlowClients(t *testing.T) {
	t.Parallel()
	connections, seconds := 400, 5
	soak := os.Getenv("GATEHOUSE_SOAK") == "1"
	if soak {
		connections, seconds = 4000, 60
	}
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil || files.Cur < uint64(5*connections) {
		t.Fatalf("%d files may be open, which are too few: raise ulimit -n (%v)", files.Cur, err)
	}
	dir := t.TempDir()
	c := harness.Certificate{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	c.Write(t, tlsName, time.Now().Add(24*time.Hour))
	h := harness.Open(t, dbtest.SQLite(t), "PUBLIC_URL=https://"+tlsName, "TLS_CERT_FILE="+c.Cert, "TLS_KEY_FILE="+c.Key, "CONNECTIONS_PER_ADDRESS=0")
	address := strings.TrimPrefix(h.App.URL(), "https://")
	good := newHonest(t, address, "https://"+tlsName)
	attack := func(name string) {
		args := append([]string{
			"-c", fmt.Sprint(connections), "-r", fmt.Sprint(connections / 2), "-l", fmt.Sprint(seconds), "-p", "5", "-v", "1",
			"-u", "https://" + address + "/openapi.json",
		}, slow[name]...)
		out, err := exec.CommandContext(t.Context(), "slowhttptest", args...).CombinedOutput()
		if text := string(out); err != nil || !strings.Contains(text, "Exit status") {
			t.Errorf("%s: %v\n%s", name, err, tail(text))
		} else if soak {
			t.Logf("%s, %d connections: %s", name, connections, tail(text))
		}
	}
	if soak {
		for name := range slow {
			good.during(name, func() { attack(name) })
		}
	} else {
		good.during("all of them", func() {
			var all sync.WaitGroup
			for name := range slow {
				all.Go(func() { attack(name) })
			}
			all.Wait()
		})
	}
	if log := h.Logs.String(); strings.Contains(log, `"status":500`) || strings.Contains(log, "panic") {
		t.Errorf("a mistake of ours:\n%s", tail(log))
	}
	t.Logf("%d honest requests", good.served.Load())
}

// tail is the end of a long text.
func tail(text string) string {
	const most = 1500
	return text[max(0, len(text)-most):]
}
