package config

import (
	"net"
	"strings"
)

// OwnTLS reports whether the public listener speaks TLS itself.
func (c *Config) OwnTLS() bool { return c.TLSCertFile != "" || len(c.ACMEDomains) > 0 }

// pathField is a field that holds the path of a file, or nothing.
func pathField(at func(*Config) *string) field {
	return field{
		read: func(r *reading) {
			if r.printable() {
				*at(r.c) = r.value
			}
		},
		show: func(c *Config) string { return *at(c) },
	}
}

// checkKeyFile holds the two files of a certificate together.
func checkKeyFile(r *reading) {
	switch {
	case r.c.TLSCertFile != "" && r.c.TLSKeyFile == "":
		r.refuse("It is not set, and TLS_CERT_FILE is.", "Write the path of that certificate's private key, in PEM.")
	case r.c.TLSCertFile == "" && r.c.TLSKeyFile != "":
		r.refuse("It is set, and TLS_CERT_FILE is not.", "Write the path of the certificate and its chain, in PEM, into TLS_CERT_FILE; or remove TLS_KEY_FILE.")
	}
	r.judgeSecretFile(r.c.TLSKeyFile)
}

// redirectListener is the field of a listener that there need not be.
func redirectListener() field {
	f := listener(func(c *Config) *string { return &c.TLSRedirectAddr })
	read := f.read
	f.read = func(r *reading) {
		if r.value != "" {
			read(r)
		}
	}
	return f
}

func checkRedirect(r *reading) {
	c := r.c
	switch {
	case c.TLSRedirectAddr == "":
	case !c.OwnTLS():
		r.refuse("It is set, and neither TLS_CERT_FILE nor TLS_ACME_DOMAINS is: there is nothing to redirect to.", "Remove it, or give Gatehouse a "+
			"certificate by TLS_CERT_FILE and TLS_KEY_FILE, or by TLS_ACME_DOMAINS.")
	case !strings.HasSuffix(c.TLSRedirectAddr, ":0") && (c.TLSRedirectAddr == c.ListenAddr || c.TLSRedirectAddr == c.AdminListenAddr):
		r.refuse("It is the same as LISTEN_ADDR or ADMIN_LISTEN_ADDR.", "Give it a port of its own: 80, where browsers look.")
	}
}

// scheme is that of the public listener.
func scheme(c *Config) string {
	if c.OwnTLS() {
		return "https://"
	}
	return "http://"
}

// listenHost returns the host of LISTEN_ADDR, and nothing where that is every
// address of the machine.
func (c *Config) listenHost() string {
	host, _, err := net.SplitHostPort(c.ListenAddr)
	if ip := net.ParseIP(host); err != nil || ip != nil && ip.IsUnspecified() {
		return ""
	}
	return host
}

// HostNames returns the names by which requests may call the public listener:
// PUBLIC_URL's, ADMIN_URL's, and in development that of LISTEN_ADDR.
func (c *Config) HostNames() []string {
	_, host, _ := strings.Cut(c.PublicURL, "://")
	names := []string{host}
	if _, console, ok := strings.Cut(c.AdminURL, "://"); ok {
		names = append(names, console)
	}
	if own := c.listenHost(); !c.Production() && own != "" {
		names = append(names, own)
	}
	return names
}
