package main

import (
	"context"
	"encoding/json"
	"errors"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/inhaul/inhaul/cli"
)

// serve starts a registration, and returns the address of its page and what waits
// for its end.
func serve(t *testing.T, finish func(context.Context, string) (string, error)) (address string, end func() error) {
	t.Helper()
	served, ended := make(chan string, 1), make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	go func() {
		ended <- registrar{open: func(context.Context, string) error { return errors.New("no browser") }}.Register(ctx, cli.Registration{
			Action: "https://github.example.com/settings/apps/new", Browser: true,
			Manifest: func(redirect string) ([]byte, error) {
				return json.Marshal(map[string]string{"redirect_url": redirect, "name": `a "name" <b>`})
			},
			Served: func(address string) { served <- address }, Finish: finish,
		})
	}()
	select {
	case address = <-served:
	case err := <-ended:
		t.Fatal(err)
	}
	return address, func() error { return <-ended }
}

// get asks for a page by a name of its host; the host itself if that is empty.
func get(t *testing.T, address, host string) (status int, header http.Header, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = host
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }() // only read
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header, string(data)
}

// form reads the page with the button.
func form(t *testing.T, page string) (state string, manifest map[string]string) {
	t.Helper()
	action := regexp.MustCompile(`action="([^"]*)"`).FindStringSubmatch(page)
	value := regexp.MustCompile(`name="manifest" value="([^"]*)"`).FindStringSubmatch(page)
	if action == nil || value == nil {
		t.Fatalf("no form in %s", page)
	}
	to, err := url.Parse(html.UnescapeString(action[1]))
	if err != nil || to.Host != "github.example.com" || to.Path != "/settings/apps/new" {
		t.Fatalf("the form goes to %s", action[1])
	}
	if err := json.Unmarshal([]byte(html.UnescapeString(value[1])), &manifest); err != nil {
		t.Fatal(err)
	}
	return to.Query().Get("state"), manifest
}

func TestARegistrationTakesWhatGitHubSendsBackOnce(t *testing.T) {
	t.Parallel()
	codes, finishing := make(chan string, 2), make(chan struct{})
	address, end := serve(t, func(_ context.Context, code string) (string, error) {
		codes <- code
		<-finishing
		return "https://github.example.com/apps/inhaul/installations/new", nil
	})
	status, header, page := get(t, address, "")
	state, manifest := form(t, page)
	if status != http.StatusOK || len(state) < 26 || manifest["redirect_url"] != address+"registered" || manifest["name"] != `a "name" <b>` {
		t.Errorf("got %d, the state %q and %v, want 200, one that nobody guesses, and a way back to %s", status, state, manifest, address)
	}
	policy := header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "form-action https://github.example.com") || header.Get("Cache-Control") != "no-store" {
		t.Errorf("got the policy %q and %v, want nothing loaded, and the form to GitHub alone", policy, header)
	}
	back := address + "registered?code=c0de&state=" + url.QueryEscape(state)
	for wrong, want := range map[string]int{
		address + "registered?code=c0de&state=guessed": http.StatusForbidden,
		address + "registered?code=c0de":               http.StatusForbidden,
		address + "registered?state=" + state:          http.StatusForbidden,
		address + "else":                               http.StatusNotFound,
	} {
		if status, _, _ := get(t, wrong, ""); status != want {
			t.Errorf("%s: got %d, want %d", wrong, status, want)
		}
	}
	first := make(chan string, 1)
	go func() {
		_, _, page := get(t, back, "")
		first <- page
	}()
	if code := <-codes; code != "c0de" {
		t.Errorf("got the code %q", code)
	}
	if status, _, _ := get(t, back, ""); status != http.StatusGone {
		t.Errorf("a second time: got %d, want %d", status, http.StatusGone)
	}
	close(finishing)
	if page := <-first; !strings.Contains(page, `href="https://github.example.com/apps/inhaul/installations/new"`) {
		t.Errorf("got %s, want the way to install it", page)
	}
	if err := end(); err != nil || len(codes) > 0 {
		t.Errorf("got %v and %d more codes, want none", err, len(codes))
	}
}

func TestARegistrationIsForThisMachineAlone(t *testing.T) {
	t.Parallel()
	address, end := serve(t, func(context.Context, string) (string, error) { return "", errors.New("it is full") })
	host := strings.TrimSuffix(strings.TrimPrefix(address, "http://"), "/")
	if !strings.HasPrefix(host, "127.0.0.1:") {
		t.Errorf("got %s, want a page on loopback", host)
	}
	_, port, _ := strings.Cut(host, ":")
	for name, want := range map[string]int{
		host: 200, "localhost:" + port: 200, "evil.example.com:" + port: 421, "evil.example.com": 421, "127.0.0.1": 421, "127.0.0.1:1": 421,
	} {
		if status, _, page := get(t, address, name); status != want || status != 200 && strings.Contains(page, "manifest") {
			t.Errorf("as %s: got %d, want %d", name, status, want)
		}
	}
	_, _, page := get(t, address, "")
	state, _ := form(t, page)
	status, header, page := get(t, address+"registered?code=c0de&state="+url.QueryEscape(state), "")
	if status != http.StatusBadGateway || strings.Contains(page, "full") || header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("got %d %s, want it said that it did not work, and no more", status, page)
	}
	if err := end(); err == nil || err.Error() != "it is full" {
		t.Errorf("got %v, want why", err)
	}
}

// TestAKeyOnItsWayIsWaitedFor is about who stops the program while GitHub is asked
// for the key that it tells once.
func TestAKeyOnItsWayIsWaitedFor(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	served, told, ended := make(chan string, 1), make(chan time.Duration, 1), make(chan error, 1)
	begun, arrives := make(chan struct{}), make(chan struct{})
	stored := false
	go func() {
		ended <- registrar{}.Register(ctx, cli.Registration{
			Action: "https://github.example.com/settings/apps/new", Manifest: func(string) ([]byte, error) { return []byte("{}"), nil },
			Served: func(address string) { served <- address }, Finishing: func(atMost time.Duration) { told <- atMost },
			Finish: func(ctx context.Context, _ string) (string, error) {
				close(begun)
				<-arrives
				stored = ctx.Err() == nil
				return "https://github.example.com/apps/inhaul/installations/new", nil
			},
		})
	}()
	address := <-served
	_, _, page := get(t, address, "")
	state, _ := form(t, page)
	go func() {
		<-begun
		cancel()
		select {
		case err := <-ended:
			ended <- err
		case <-told:
			time.Sleep(farewell + 500*time.Millisecond) // longer than the last page has
		}
		close(arrives)
	}()
	if status, _, page := get(t, address+"registered?code=c0de&state="+url.QueryEscape(state), ""); status != http.StatusOK || !strings.Contains(page, "installations/new") {
		t.Errorf("got %d %s, want the way to install it", status, page)
	}
	if err := <-ended; err != nil || !stored {
		t.Errorf("got %v, stored: %t, want the key kept", err, stored)
	}
}

func TestARegistrationEndsWithItsTime(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := registrar{}.Register(ctx, cli.Registration{
		Action: "https://github.com/settings/apps/new", Manifest: func(string) ([]byte, error) { return nil, nil }, Served: func(string) {},
	})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want that time is up", err)
	}
}
