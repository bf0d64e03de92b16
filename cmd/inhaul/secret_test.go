package main

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/inhaul/inhaul/cli"
)

func TestClusterKeepsASecret(t *testing.T) {
	t.Parallel()
	var asked []string
	answer := http.StatusOK
	kubeconfig := apiServer(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = append(asked, r.Method+" "+r.URL.RequestURI()+" "+r.Header.Get("Content-Type")+" "+string(body))
		w.WriteHeader(answer)
		_, _ = w.Write([]byte(`{"message": "conflict with s3cret"}`))
	})
	cluster, err := connect(cli.Connection{Kubeconfig: kubeconfig, Context: "dev"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cluster.Secrets.Secret(t.Context(), "inhaul", "inhaul-agent"); err != nil {
		t.Error(err)
	}
	for _, how := range []cli.Keeping{{Try: true}, {Force: true}} {
		if err := cluster.Secrets.Keep(t.Context(), "inhaul", "inhaul-agent", []byte("{}"), how); err != nil {
			t.Error(err)
		}
	}
	const one = "/api/v1/namespaces/inhaul/secrets/inhaul-agent"
	want := []string{
		"GET " + one + "  ",
		"PATCH " + one + "?dryRun=All&fieldManager=inhaul-github-app&force=false application/apply-patch+yaml {}",
		"PATCH " + one + "?fieldManager=inhaul-github-app&force=true application/apply-patch+yaml {}",
	}
	if got := strings.Join(asked, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("asked\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	answer = http.StatusConflict
	if err := cluster.Secrets.Keep(t.Context(), "inhaul", "inhaul-agent", []byte("{}"), cli.Keeping{}); !errors.Is(err, cli.ErrRefused) || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("got %v, want it refused, without what the API server quotes", err)
	}
}
