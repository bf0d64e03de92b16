package registry_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/inhaul/inhaul/lab/registry"
)

func TestFaultsHitWhatTheyNameAndRunOut(t *testing.T) {
	t.Parallel()
	w := start(t, registry.Config{Token: token})
	if err := w.push(t, "a/b:1", anImage(t)); err != nil {
		t.Fatal(err)
	}
	body := `{"status":503,"count":2,"path":"manifests","delay":"1ms"}`
	if got := send(t, w, http.MethodPost, "/_lab/faults", "", body).StatusCode; got != http.StatusCreated {
		t.Fatalf("injecting: got status %d, want 201", got)
	}
	for i, want := range []int{http.StatusServiceUnavailable, http.StatusServiceUnavailable, http.StatusOK} {
		if got := get(t, w, http.MethodGet, "/v2/a/b/tags/list", token).StatusCode; got != http.StatusOK {
			t.Errorf("request %d for tags: got status %d, want 200", i, got)
		}
		if got := get(t, w, http.MethodHead, "/v2/a/b/manifests/1", token).StatusCode; got != want {
			t.Errorf("request %d for the manifest: got status %d, want %d", i, got, want)
		}
	}
}

func TestFaultWithoutStatusOnlyDelays(t *testing.T) {
	t.Parallel()
	const delay = 30 * time.Millisecond
	w := start(t, registry.Config{Token: token})
	w.Inject(registry.Fault{Path: "ping", Delay: delay})
	began := time.Now()
	if got := get(t, w, http.MethodGet, "/v2/", token).StatusCode; got != http.StatusOK {
		t.Errorf("got status %d, want 200", got)
	}
	if took := time.Since(began); took < delay {
		t.Errorf("took %v, want at least %v", took, delay)
	}
}

func TestClientRetriesPastAFault(t *testing.T) {
	t.Parallel()
	w := start(t, registry.Config{Token: token})
	w.Inject(registry.Fault{Status: http.StatusServiceUnavailable, Count: 1, Path: "manifests"})
	backoff := remote.Backoff{Duration: time.Millisecond, Steps: 3}
	if err := remote.Write(w.tag(t, "a/b:1"), anImage(t), append(w.options(t, token), remote.WithRetryBackoff(backoff))...); err != nil {
		t.Error(err)
	}
}

func TestAdminRefusesNonsense(t *testing.T) {
	t.Parallel()
	w := start(t, registry.Config{Token: token})
	for name, body := range map[string]string{
		"a status that is no failure": `{"status":200}`,
		"an unknown field":            `{"stauts":503}`,
		"a delay without a unit":      `{"delay":"5"}`,
	} {
		if got := send(t, w, http.MethodPost, "/_lab/faults", "", body).StatusCode; got != http.StatusBadRequest {
			t.Errorf("%s: got status %d, want 400", name, got)
		}
	}
}
