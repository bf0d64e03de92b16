package main

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"runtime"
	"sync"
	"time"

	"github.com/inhaul/inhaul/cli"
)

// registrar leads a person through the registration of a GitHub App by a page of
// this machine.
type registrar struct {
	open func(ctx context.Context, address string) error // shows an address in a browser
}

var _ cli.Registrar = registrar{}

const (
	registeredPath = "/registered"

	headerTimeout   = 5 * time.Second  // what a browser on this machine needs is less
	answerTimeout   = 2 * time.Minute  // GitHub and the cluster are asked meanwhile
	keyPatience     = 30 * time.Second // of who was told to stop, for the key of an App that is there
	farewell        = 3 * time.Second  // for the last page to arrive
	maxHeaderBytes  = 16 << 10         // of a request to the page
	browserPatience = 5 * time.Second  // for a browser to be started
)

// Register implements cli.Registrar. The page is served to this machine alone: the
// listener is on loopback, and another name for it is refused, so that no other
// site's page can ask for it. What GitHub sends back is taken once, and only with
// the state that went out.
func (r registrar) Register(ctx context.Context, registration cli.Registration) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listening on this machine: %w", err)
	}
	d := &desk{registration: registration, host: listener.Addr().String(), state: rand.Text(), ended: make(chan error, 1)}
	if d.manifest, err = registration.Manifest("http://" + d.host + registeredPath); err != nil {
		return errors.Join(fmt.Errorf("writing the manifest: %w", err), listener.Close())
	}
	server := &http.Server{
		Handler: d.handler(), ReadHeaderTimeout: headerTimeout, ReadTimeout: headerTimeout, WriteTimeout: answerTimeout,
		IdleTimeout: headerTimeout, MaxHeaderBytes: maxHeaderBytes,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	address := "http://" + d.host + "/"
	registration.Served(address)
	if registration.Browser {
		opening, cancel := context.WithTimeout(ctx, browserPatience)
		_ = r.open(opening, address) // without one, the address was told
		cancel()
	}
	select {
	case err = <-d.ended:
	case <-ctx.Done():
		err = d.stop(ctx)
	case err = <-served:
		return fmt.Errorf("serving the page: %w", err)
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	if server.Shutdown(last) != nil {
		_ = server.Close() // what is under way is nobody's any more
	}
	if end := <-served; !errors.Is(end, http.ErrServerClosed) {
		return errors.Join(err, fmt.Errorf("serving the page: %w", end))
	}
	return err
}

// desk is one registration.
type desk struct {
	registration cli.Registration
	host         string // that a browser has to ask for
	state        string // that GitHub has to send back
	manifest     []byte

	once  sync.Once
	ended chan error
}

// stop ends the registration, but not between the App that GitHub has made and its
// key, which GitHub tells once.
func (d *desk) stop(ctx context.Context) error {
	begun := true
	d.once.Do(func() { begun = false }) // and it cannot begin any more
	if !begun {
		return ctx.Err()
	}
	if d.registration.Finishing != nil {
		d.registration.Finishing(keyPatience)
	}
	patience := time.NewTimer(keyPatience)
	defer patience.Stop()
	select {
	case err := <-d.ended:
		return err
	case <-patience.C:
		return cli.ErrKeyLost
	}
}

func (d *desk) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", d.form)
	mux.HandleFunc("GET "+registeredPath, d.registered)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action "+d.formAction())
		if !d.addressed(r.Host) {
			http.Error(w, "this page is for "+d.host, http.StatusMisdirectedRequest)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// addressed reports whether a request asks for this page by a name of loopback:
// another name that leads here is somebody's who rebinds it.
func (d *desk) addressed(host string) bool {
	_, port, err := net.SplitHostPort(d.host)
	return err == nil && (host == d.host || host == net.JoinHostPort("localhost", port))
}

// formAction is where the form may go, in words of a content security policy.
func (d *desk) formAction() string {
	u, err := url.Parse(d.registration.Action)
	if err != nil {
		return "'none'"
	}
	return u.Scheme + "://" + u.Host
}

//go:embed registration.html
var registrationPage string

// form is the page with the one button.
func (d *desk) form(w http.ResponseWriter, _ *http.Request) {
	d.show(w, http.StatusOK, map[string]any{
		"Action": d.registration.Action + "?state=" + url.QueryEscape(d.state), "Manifest": string(d.manifest),
	})
}

// registered takes what GitHub sends back.
func (d *desk) registered(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Referrer-Policy", "no-referrer") // the address has the code
	query := r.URL.Query()
	if subtle.ConstantTimeCompare([]byte(query.Get("state")), []byte(d.state)) != 1 || query.Get("code") == "" {
		d.show(w, http.StatusForbidden, map[string]any{"Wrong": "This is not what was sent to GitHub. Start again at http://" + d.host + "/."})
		return
	}
	first := false
	d.once.Do(func() { first = true })
	if !first {
		d.show(w, http.StatusGone, map[string]any{"Wrong": "This was done already: the terminal says how."})
		return
	}
	// Who closes the browser now must not cost the key that GitHub tells once.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), answerTimeout)
	defer cancel()
	install, err := d.registration.Finish(ctx, query.Get("code"))
	if err != nil {
		d.show(w, http.StatusBadGateway, map[string]any{"Wrong": "This did not work out: the terminal says why, and what to do."})
	} else {
		d.show(w, http.StatusOK, map[string]any{"Install": install})
	}
	d.ended <- err
}

// show writes a page.
func (d *desk) show(w http.ResponseWriter, status int, what map[string]any) {
	page, err := template.New("registration").Parse(registrationPage)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_ = page.Execute(w, what) // who went away meanwhile needs no page
}

// browse shows an address in the browser of whoever started this program.
func browse(ctx context.Context, address string) error {
	program := "xdg-open"
	switch runtime.GOOS {
	case "darwin":
		program = "open"
	case "windows":
		program = "explorer"
	}
	return exec.CommandContext(ctx, program, address).Run() //nolint:gosec // because the address is our own
}
