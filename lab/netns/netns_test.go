package netns

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestForwardPassesHalfCloses(t *testing.T) {
	t.Parallel()
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	go func() {
		c, err := server.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		all, _ := io.ReadAll(c) // ends only if the client's half-close arrives
		_, _ = c.Write([]byte(strings.ToUpper(string(all))))
	}()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()

	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Forward{Listen: address, Target: server.Addr().String()}.Run(ctx, discard()) }()
	client := dial(t, address)
	defer client.Close()
	if _, err := client.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if err := client.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(client); err != nil || string(got) != "HELLO" {
		t.Errorf("got %q, %v, want HELLO", got, err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	for range 500 {
		if c, err := net.Dial("tcp", address); err == nil {
			return c
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("nothing listens on %s", address)
	return nil
}

func TestProxyForwardsAndTunnels(t *testing.T) {
	t.Parallel()
	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "hello "+r.Host) })
	plain, secure := httptest.NewServer(hello), httptest.NewTLSServer(hello)
	defer plain.Close()
	defer secure.Close()
	proxy := httptest.NewServer(NewProxy(Namespace{}, discard()))
	defer proxy.Close()
	address, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	client := secure.Client()
	client.Transport.(*http.Transport).Proxy = http.ProxyURL(address)
	for _, target := range []string{plain.URL, secure.URL} {
		resp, err := client.Get(target)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if want := "hello " + resp.Request.Host; err != nil || string(got) != want && !strings.HasPrefix(string(got), "hello 127.0.0.1:") {
			t.Errorf("%s: got %q, %v", target, got, err)
		}
	}
	client.CloseIdleConnections()
}

func TestProxyDialsForEachRequest(t *testing.T) {
	t.Parallel()
	var dialled atomic.Int32
	app := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "v1") }))
	app.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			dialled.Add(1)
		}
	}
	app.Start()
	defer app.Close()
	proxy := httptest.NewServer(NewProxy(Namespace{}, discard()))
	defer proxy.Close()
	address, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(address)}} // itself it keeps its one connection
	defer client.CloseIdleConnections()
	const requests = 3
	for range requests {
		resp, err := client.Get(app.URL)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	if got := dialled.Load(); got != requests {
		t.Errorf("got %d connections to the app for %d requests, want as many: a kept one hides that its pod left the Service", got, requests)
	}
}

func TestParseForward(t *testing.T) {
	t.Parallel()
	if f, err := ParseForward("127.0.0.1:1=10.0.0.1:2"); err != nil || f.Listen != "127.0.0.1:1" || f.Target != "10.0.0.1:2" {
		t.Errorf("got %+v, %v", f, err)
	}
	for _, s := range []string{"", "127.0.0.1:1", "=x", "x="} {
		if _, err := ParseForward(s); err == nil {
			t.Errorf("%q: got no error", s)
		}
	}
}
