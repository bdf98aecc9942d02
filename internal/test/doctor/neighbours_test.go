package doctor

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// zone is a DNS server that knows some TXT records.
type zone struct {
	mu      sync.Mutex
	records map[string][]string
	away    bool // it fails
	address string
}

func newZone(t *testing.T, records map[string][]string) *zone {
	t.Helper()
	z := &zone{records: records}
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	z.address = c.LocalAddr().String()
	t.Cleanup(func() { c.Close() })
	go func() {
		b := make([]byte, 4096)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			if answer := z.answer(b[:n]); answer != nil {
				_, _ = c.WriteTo(answer, from)
			}
		}
	}()
	return z
}

func (z *zone) answer(question []byte) []byte {
	z.mu.Lock()
	defer z.mu.Unlock()
	var m dnsmessage.Message
	if m.Unpack(question) != nil || len(m.Questions) != 1 {
		return nil
	}
	q := m.Questions[0]
	out := dnsmessage.Message{Header: dnsmessage.Header{ID: m.ID, Response: true, RecursionAvailable: true}, Questions: m.Questions}
	list := z.records[strings.TrimSuffix(q.Name.String(), ".")]
	switch {
	case z.away:
		out.RCode = dnsmessage.RCodeServerFailure
	case len(list) == 0:
		out.RCode = dnsmessage.RCodeNameError
	}
	for _, text := range list {
		var parts []string
		for ; len(text) > 255; text = text[255:] {
			parts = append(parts, text[:255])
		}
		out.Answers = append(out.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: dnsmessage.TypeTXT, Class: dnsmessage.ClassINET, TTL: 1},
			Body:   &dnsmessage.TXTResource{TXT: append(parts, text)},
		})
	}
	packed, err := out.Pack()
	if err != nil {
		return nil
	}
	return packed
}

// set puts records in the place of a name's; none takes the name away.
func (z *zone) set(name string, texts ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.records[name] = texts
}

func (z *zone) fails(away bool) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.away = away
}

func (z *zone) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", z.address)
	}}
}

// hourglass is a time server that may be wrong.
type hourglass struct {
	address string
	ahead   atomic.Int64
	leap    atomic.Int32
}

func newHourglass(t *testing.T) *hourglass {
	t.Helper()
	h := &hourglass{}
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.address = c.LocalAddr().String()
	t.Cleanup(func() { c.Close() })
	go func() {
		b := make([]byte, 48)
		for {
			_, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			answer := make([]byte, 48)
			answer[0], answer[1] = byte(h.leap.Load())<<6|4<<3|4, 2
			copy(answer[24:32], b[40:48])
			for _, at := range []int{32, 40} {
				now := time.Now().Add(time.Duration(h.ahead.Load()))
				binary.BigEndian.PutUint32(answer[at:], uint32(now.Unix()+2208988800))
				binary.BigEndian.PutUint32(answer[at+4:], uint32(int64(now.Nanosecond())<<32/int64(time.Second)))
			}
			forged := bytes.Clone(answer) // somebody who can't see the question, and is first
			copy(forged[24:32], "12345678")
			binary.BigEndian.PutUint32(forged[32:], 1)
			_, _ = c.WriteTo(forged, from)
			_, _ = c.WriteTo(answer, from)
		}
	}()
	return h
}

// skewed passes a Redis's answers on, with a clock that goes wrong.
func skewed(t *testing.T, redis string, by int) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	clock := regexp.MustCompile(`\*2\r\n\$10\r\n\d{10}\r\n`)
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", redis)
			if err != nil {
				client.Close()
				continue
			}
			go func() { _, _ = io.Copy(server, client); server.Close() }()
			go func() {
				defer client.Close()
				b := make([]byte, 64<<10)
				for {
					n, err := server.Read(b)
					if err != nil {
						return
					}
					piece := clock.ReplaceAllFunc(b[:n], func(is []byte) []byte {
						seconds, _ := strconv.Atoi(string(is[9:19]))
						return []byte("*2\r\n$10\r\n" + strconv.Itoa(seconds+by) + "\r\n")
					})
					if _, err := client.Write(piece); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// certify writes a self-signed certificate for this machine and a name, and its key, and returns their paths.
func certify(t *testing.T, dir, name string, until time.Time, more ...string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: append([]string{name}, more...),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:   until.Add(-90 * 24 * time.Hour), NotAfter: until, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	at := func(kind, block string, b []byte) string {
		path := filepath.Join(dir, name+"."+until.Format("20060102")+"."+kind)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: block, Bytes: b}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return at("pem", "CERTIFICATE", der), at("key", "PRIVATE KEY", keyDER)
}
