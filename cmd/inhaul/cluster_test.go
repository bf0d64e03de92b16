package main

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/inhaul/inhaul/cli"
)

// apiServer is a fake API server; the client that asks it is the real one. It
// returns a kubeconfig with a login in one of its contexts.
func apiServer(t *testing.T, answer http.HandlerFunc) (kubeconfig string) {
	t.Helper()
	server := httptest.NewTLSServer(answer)
	t.Cleanup(server.Close)
	config, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "other",
		"clusters": []any{map[string]any{"name": "c", "cluster": map[string]any{"server": server.URL, "insecure-skip-tls-verify": true}}},
		"users":    []any{map[string]any{"name": "dev", "user": map[string]any{"token": "dev-token"}}},
		"contexts": []any{
			map[string]any{"name": "dev", "context": map[string]any{"cluster": "c", "user": "dev"}},
			map[string]any{"name": "other", "context": map[string]any{"cluster": "c"}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig = filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(kubeconfig, config, 0o600); err != nil {
		t.Fatal(err)
	}
	return kubeconfig
}

func TestClusterReadsAppsAndReleases(t *testing.T) {
	t.Parallel()
	var asked []string
	kubeconfig := apiServer(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.EscapedPath()+" "+r.Header.Get("Authorization")+" "+r.Header.Get("Accept"))
		_, _ = w.Write([]byte(`{"kind":"x"}`))
	})
	cluster, err := connect(cli.Connection{Kubeconfig: kubeconfig, Context: "dev", Namespace: "platform"})
	if err != nil {
		t.Fatal(err)
	}
	releases := cluster.Releases
	if data, err := releases.App(t.Context(), "shop"); err != nil || string(data) != `{"kind":"x"}` {
		t.Errorf("got %s and %v, want the answer as it is", data, err)
	}
	if _, err := releases.Release(t.Context(), "shop-live", "shop-12/../x"); err != nil {
		t.Error(err)
	}
	const to = "GET /apis/inhaul.dev/v1alpha1/namespaces/"
	want := to + "platform/apps/shop Bearer dev-token application/json\n" +
		to + "shop-live/releases/shop-12%2F..%2Fx Bearer dev-token application/json"
	if got := strings.Join(asked, "\n"); got != want {
		t.Errorf("asked\n%s\nwant\n%s", got, want)
	}
}

func TestClusterAsksForRollbacks(t *testing.T) {
	t.Parallel()
	var asked []string
	kubeconfig := apiServer(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = append(asked, r.Method+" "+r.URL.RequestURI()+" "+r.Header.Get("Content-Type")+" "+string(body))
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusCreated)
		}
		_, _ = w.Write([]byte("{}"))
	})
	cluster, err := connect(cli.Connection{Kubeconfig: kubeconfig, Context: "dev"})
	if err != nil {
		t.Fatal(err)
	}
	for _, ask := range []func() ([]byte, error){
		func() ([]byte, error) { return cluster.Log.Page(t.Context(), "shop-live", "a&b") },
		func() ([]byte, error) { return cluster.Users.Self(t.Context()) },
		func() ([]byte, error) { return cluster.Rollbacks.Ask(t.Context(), "shop-live", []byte(`{"x":1}`)) },
		func() ([]byte, error) { return cluster.Rollbacks.Rollback(t.Context(), "shop-live", "shop-x") },
	} {
		if data, err := ask(); err != nil || string(data) != "{}" {
			t.Errorf("got %s and %v, want the answer as it is", data, err)
		}
	}
	const own = "/apis/inhaul.dev/v1alpha1/namespaces/shop-live/"
	want := []string{
		"GET " + own + "releases?continue=a%26b&limit=25  ",
		`POST /apis/authentication.k8s.io/v1/selfsubjectreviews application/json {"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}`,
		"POST " + own + `rollbacks application/json {"x":1}`,
		"GET " + own + "rollbacks/shop-x  ",
	}
	if got := strings.Join(asked, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("asked\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

func TestClusterIsInspectedAndTried(t *testing.T) {
	t.Parallel()
	var asked []string
	kubeconfig := apiServer(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = append(asked, r.Method+" "+r.URL.RequestURI()+" "+string(body))
		switch r.Method {
		case http.MethodPost:
			w.WriteHeader(http.StatusCreated)
		case http.MethodDelete:
			w.WriteHeader(http.StatusAccepted)
		}
		_, _ = w.Write([]byte("a log"))
	})
	cluster, err := connect(cli.Connection{Kubeconfig: kubeconfig, Context: "dev"})
	if err != nil {
		t.Fatal(err)
	}
	if data, err := cluster.Inspection.Read(t.Context(), "api/v1/namespaces?limit=25&continue=a%26b"); err != nil || string(data) != "a log" {
		t.Errorf("got %s and %v, want the answer as it is", data, err)
	}
	if err := cluster.Trials.Make(t.Context(), "api/v1/namespaces", []byte(`{"x":1}`)); err != nil {
		t.Error(err)
	}
	if err := cluster.Trials.Delete(t.Context(), "api/v1/namespaces/x"); err != nil {
		t.Error(err)
	}
	want := "GET /api/v1/namespaces?limit=25&continue=a%26b \nPOST /api/v1/namespaces {\"x\":1}\nDELETE /api/v1/namespaces/x "
	if got := strings.Join(asked, "\n"); got != want {
		t.Errorf("asked\n%s\nwant\n%s", got, want)
	}
}

func TestClusterAnswersThatAreNoObject(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		code int
		body string
		is   error
		want string
	}{
		{"not there", http.StatusNotFound, "{}", cli.ErrNotFound, "not found: the API server says 404 Not Found"},
		{"not for this user", http.StatusForbidden, "{}", cli.ErrForbidden, "403 Forbidden"},
		{"not logged in", http.StatusUnauthorized, "{}", cli.ErrForbidden, "401 Unauthorized"},
		{"out of order", http.StatusInternalServerError, "s3cret", nil, "unexpected answer: the API server says 500 Internal Server Error"},
		{"elsewhere", http.StatusFound, "", nil, "unexpected answer: the API server says 302 Found"},
		{"not taken", http.StatusUnprocessableEntity, `{"message":"spec.to: \u001b[2J too\nlong"}`, cli.ErrRefused, `refused: the API server says "spec.to: \x1b[2J too long"`},
		{"not taken without a word", http.StatusBadRequest, "s3cret", cli.ErrRefused, "refused: the API server says 400 Bad Request"},
		{"too large", http.StatusOK, strings.Repeat("x", cli.MaxObjectBytes+1), nil, "the answer has more than 8388608 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			kubeconfig := apiServer(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(c.code)
				_, _ = w.Write([]byte(c.body))
			})
			cluster, err := connect(cli.Connection{Kubeconfig: kubeconfig})
			if err != nil {
				t.Fatal(err)
			}
			_, err = cluster.Releases.App(t.Context(), "shop")
			if err == nil || !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestConnectNeedsAKubeconfig(t *testing.T) {
	t.Parallel()
	kubeconfig := apiServer(t, http.NotFound)
	for _, c := range []cli.Connection{{Kubeconfig: filepath.Join(t.TempDir(), "absent")}, {Kubeconfig: kubeconfig, Context: "absent"}} {
		if _, err := connect(c); err == nil || !strings.Contains(err.Error(), "absent") {
			t.Errorf("%v: got %v, want what is absent", c, err)
		}
	}
}
