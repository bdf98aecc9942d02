package web

import (
	"bytes"
	"context"
	"log"
	"log/slog"
	"net/http"
	"time"
)

// NewServer returns a server for an address, with the limits that keep a slow
// or greedy client from holding a connection: 5 s for the header and 15 s for
// the whole request, 30 s from the header to the end of the answer, 120 s
// between two requests, and 32 KiB of header. Over HTTP/2 a connection has at most
// 100 requests at once; one that says nothing for 30 s is asked whether it
// lives, and one that takes nothing for 15 s is closed.
func NewServer(addr string, h http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		Addr:              addr,
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       120 * time.Second,
		MaxHeaderBytes:    32 << 10,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: 100,
			SendPingTimeout:      30 * time.Second,
			PingTimeout:          15 * time.Second,
			WriteByteTimeout:     15 * time.Second,
		},
		ErrorLog: log.New(serverLog{logger}, "", 0),
		// "OPTIONS *" would be answered before it comes to our handler.
		DisableGeneralOptionsHandler: true,
	}
}

// noise is how those messages of net/http begin that any stranger can cause.
var noise = [][]byte{
	[]byte("http: TLS handshake error"),
	[]byte("http: URL query contains semicolon"),
	[]byte("http2: server connection error"),
	[]byte("http2: received GOAWAY"),
}

// serverLog takes the lines that net/http itself logs.
type serverLog struct{ to *slog.Logger }

func (l serverLog) Write(line []byte) (int, error) {
	level := slog.LevelWarn
	for _, n := range noise {
		if bytes.HasPrefix(line, n) {
			level = slog.LevelDebug
		}
	}
	l.to.LogAttrs(context.Background(), level, "http server", slog.String("error", string(bytes.TrimSpace(line))))
	return len(line), nil
}
