package e2e

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/inhaul/inhaul/spec"
)

// The bars of the times of a preview, the app's own boot aside.
const (
	upBar   = 120 * time.Second
	downBar = 60 * time.Second
)

// TestPreviewTimes measures on real containers how long it takes from a published
// image to a preview that answers, and from the close of the pull request until its
// namespace is gone. The app has no boot that is worth a word; it has a seed, and a
// PostgreSQL that runs where there is an image of one: the lab has no DNS by which the
// seed could find it.
func TestPreviewTimes(t *testing.T) {
	pulls := size("INHAUL_PREVIEWS_TIMES")
	if pulls == 0 {
		t.Skip("INHAUL_PREVIEWS_TIMES is not set; `make previews-time` does that, on a lab with real containers")
	}
	pt := newPreviewTeam(t, "times", nil)
	pt.without = append(pt.without, "databases")
	image := outputOf(t, exec.Command(pt.program, "push", "--dir", pt.dir, "--user", imageUser, pt.images()+":plain", buildBinary(t, "./testdata/plain", "")))
	proxy := strings.TrimPrefix(os.Getenv("LAB_PROXY"), "http://")
	var ups, downs []time.Duration
	for number := 1; number <= pulls; number++ {
		event, err := pt.happen(t.Context(), pullOf(number), op{action: "opened", asks: asksDeploy})
		if err != nil {
			t.Fatal(err)
		}
		event.image = image
		event.change = func(app *spec.App) {
			app.ImageUser, app.Services[0].Run = imageUser, spec.Command{} // the image's own
			app.Services[0].Env["VERSION"] = strconv.Itoa(number)
			if app.Seed != nil {
				app.Seed.Run = spec.Command{Exec: []string{"/plain", "seed"}}
			}
		}
		published := time.Now()
		if _, err := pt.deliver(t.Context(), event); err != nil {
			t.Fatal(err)
		}
		namespace := pt.namespace(pullOf(number))
		pt.answers(t, namespace, proxy, strconv.Itoa(number))
		ups = append(ups, time.Since(published))

		closed, err := pt.happen(t.Context(), pullOf(number), op{action: "closed", asks: asksDestroy})
		if err != nil {
			t.Fatal(err)
		}
		ended := time.Now()
		if _, err := pt.deliver(t.Context(), closed); err != nil {
			t.Fatal(err)
		}
		pt.awaitGone(t, namespace)
		downs = append(downs, time.Since(ended))
	}
	for what, times := range map[string]struct {
		took []time.Duration
		bar  time.Duration
	}{"published -> answers 200": {ups, upBar}, "closed -> namespace gone": {downs, downBar}} {
		median, p95 := share(times.took, 50), share(times.took, 95)
		t.Logf("%-25s median %s, p95 %s, of %d", what, median.Round(10*time.Millisecond), p95.Round(10*time.Millisecond), len(times.took))
		if p95 > times.bar {
			t.Errorf("%s: got %s (p95), want at most %s", what, p95, times.bar)
		}
	}
}

// share is the time that percent of all take at most.
func share(times []time.Duration, percent int) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[(len(sorted)*percent+99)/100-1]
}

// answers returns once the preview's web service says its version.
func (pt *previewTeam) answers(t *testing.T, namespace, proxy, version string) {
	t.Helper()
	services := schema.GroupVersionResource{Version: "v1", Resource: "services"}
	why := errors.New("there is no Service")
	for deadline := time.Now().Add(2 * upBar); time.Now().Before(deadline); time.Sleep(settlePause / 3) {
		o, err := pt.client.Resource(services).Namespace(namespace).Get(t.Context(), pt.app+"-web", metav1.GetOptions{})
		if err != nil {
			why = err
			continue
		}
		address, _, _ := unstructured.NestedString(o.Object, "spec", "clusterIP")
		client := (&load{address: address + ":80", proxy: proxy}).client()
		if why = says(client, "http://"+address+":80/", version); why == nil {
			return
		}
	}
	t.Fatalf("%s does not answer after %s: %v", namespace, 2*upBar, why)
}

// says is nil if the address answers 200 with that text.
func says(client *http.Client, address, want string) error {
	response, err := client.Get(address)
	if err != nil {
		return err
	}
	defer response.Body.Close() //nolint:errcheck // only read from
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	if err == nil && (response.StatusCode != http.StatusOK || string(text) != want) {
		err = fmt.Errorf("got %s, %q, want 200 and %q", response.Status, text, want)
	}
	return err
}

func (pt *previewTeam) awaitGone(t *testing.T, namespace string) {
	t.Helper()
	for deadline := time.Now().Add(3 * downBar); time.Now().Before(deadline); time.Sleep(settlePause / 3) {
		if _, err := pt.client.Resource(namespaceResource).Get(t.Context(), namespace, metav1.GetOptions{}); apierrors.IsNotFound(err) {
			return
		}
	}
	t.Fatalf("namespace %s is there %s after its pull request was closed", namespace, 3*downBar)
}

func TestSharesOfTimes(t *testing.T) {
	t.Parallel()
	times := []time.Duration{5, 1, 4, 2, 3}
	if got := [2]time.Duration{share(times, 50), share(times, 95)}; got != [2]time.Duration{3, 5} {
		t.Errorf("got %v, want the middle and the last", got)
	}
}
