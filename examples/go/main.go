// Command go is a web application behind Gatehouse: it takes access tokens, and
// refuses those that were revoked.
//
//	go run ./examples/go -issuer http://127.0.0.1:8000 -client ID -secret-file FILE
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/verify"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "where to listen")
	issuer := flag.String("issuer", "http://127.0.0.1:8000", "Gatehouse's PUBLIC_URL")
	client := flag.String("client", "", "the id that gatehouse client create has shown")
	file := flag.String("secret-file", "", "the file with its secret")
	flag.Parse()

	var options []verify.Option
	if *client != "" {
		secret, err := os.ReadFile(*file)
		if err != nil {
			log.Fatal(err)
		}
		options = append(options, verify.WithClient(*client, strings.TrimSpace(string(secret))))
	}
	v, err := verify.New(*issuer, options...)
	if err != nil {
		log.Fatal(err)
	}
	l, err := net.Listen("tcp", *listen) //nolint:noctx // ends with the process
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("http://%s\n", l.Addr())
	s := &http.Server{Handler: routes(v), ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(s.Serve(l))
}

func routes(v *verify.Verifier) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /hello", v.Middleware(http.HandlerFunc(hello)))
	mux.Handle("GET /admin", v.Middleware(http.HandlerFunc(admin)))
	return mux
}

func hello(w http.ResponseWriter, r *http.Request) {
	t := verify.TokenFrom(r.Context())
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"hello": t.Subject, "roles": t.Roles})
}

func admin(w http.ResponseWriter, r *http.Request) {
	if !verify.TokenFrom(r.Context()).HasRole("admin") {
		http.Error(w, "for administrators", http.StatusForbidden)
		return
	}
	fmt.Fprintln(w, "the keys to the house")
}
