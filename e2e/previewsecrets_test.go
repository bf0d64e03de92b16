package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/inhaul/inhaul/spec"
)

// TestPreviewsHoldNoSecretOfProduction puts a marker into every Secret of production
// and looks for it in every object of every kind of every preview of the app: of one
// that asks for that secret too, and of one whose database is filled from production's.
func TestPreviewsHoldNoSecretOfProduction(t *testing.T) {
	if size("INHAUL_PREVIEWS") == 0 {
		t.Skip("INHAUL_PREVIEWS is not set; `make previews` does that")
	}
	marker := fmt.Sprintf("production-only-%d", time.Now().UnixNano())

	pt := newPreviewTeam(t, "secret", nil)
	if pt.has("databases") {
		pt.allowClone(t)
	}
	production := pt.app + "-production"
	pt.create(t, namespaceResource, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": production},
	}})
	for _, name := range []string{"app-secrets", pt.app, "database"} {
		pt.create(t, secretResource, &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": name, "namespace": production},
			"stringData": map[string]any{"TOKEN": marker, "url": "postgres://app:" + marker + "@db.internal/app"},
		}})
	}
	digests := map[int]string{}
	for number := 1; number <= 2; number++ {
		event, err := pt.happen(t.Context(), pullOf(number), op{action: "opened"})
		if err != nil {
			t.Fatal(err)
		}
		event.asks = asksDeploy
		if number == 2 {
			event.change = func(app *spec.App) {
				app.Services[0].Secrets = map[string]string{"TOKEN": "k8s://app-secrets#TOKEN"}
			}
		}
		if digests[number], err = pt.deliver(t.Context(), event); err != nil {
			t.Fatal(err)
		}
	}
	if r := pt.ends(t, 1, digests[1]); r.Status.Phase != "Succeeded" {
		t.Errorf("a preview without secrets: got %s, want Succeeded: %s", r.Status.Phase, r.Status.Message)
	}
	if r := pt.ends(t, 2, digests[2]); r.Status.Phase == "Succeeded" {
		t.Error("a preview that asks for a secret of production: got Succeeded, want a failure that names it")
	} else if !strings.Contains(r.Status.Message, "app-secrets") {
		t.Errorf("got %q, want the name of what is missing", r.Status.Message)
	}
	if looked, found := pt.objectsWith(t, production, marker); len(found) == 0 {
		t.Errorf("of %d objects of production none has the marker: the look is blind", looked)
	}
	for number := 1; number <= 2; number++ {
		looked, found := pt.objectsWith(t, pt.namespace(pullOf(number)), marker)
		t.Logf("preview %d: %d objects looked at", number, looked)
		if looked < 5 { // the guard rails, the release, the app's own
			t.Errorf("got %d objects of preview %d, want all", looked, number)
		}
		for _, name := range found {
			t.Errorf("a secret of production is in %s", name)
		}
	}
}

func TestAHiddenMarkerIsFound(t *testing.T) {
	t.Parallel()
	const marker = "production-only-17"
	for name, text := range map[string]string{
		"plain": "x" + marker, "of a Secret": base64.StdEncoding.EncodeToString([]byte(marker)),
		"within a URL": base64.StdEncoding.EncodeToString([]byte("postgres://app:" + marker + "@db/app")),
		"shifted by 1": base64.StdEncoding.EncodeToString([]byte("1" + marker + "2")), "shifted by 2": base64.StdEncoding.EncodeToString([]byte("12" + marker)),
		"without padding": base64.RawURLEncoding.EncodeToString([]byte("a:" + marker)),
	} {
		if !slices.ContainsFunc(hidden(marker), func(form []byte) bool { return bytes.Contains([]byte(text), form) }) {
			t.Errorf("%s: not found in %q", name, text)
		}
	}
	if other := []byte(base64.StdEncoding.EncodeToString([]byte("production-only-18"))); slices.ContainsFunc(hidden(marker), func(form []byte) bool { return bytes.Contains(other, form) }) {
		t.Error("another marker was taken for it")
	}
}

// hidden are the texts of which one is wherever the marker is, plain or in base64, at
// whichever of its three places within a longer text.
func hidden(marker string) [][]byte {
	forms := [][]byte{[]byte(marker)}
	for shift := range 3 {
		text := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + marker))
		from := (shift*8 + 5) / 6                    // digits that depend on what is before it
		to := (shift*8 + len(marker)*8) / 6          // and on what is behind it
		forms = append(forms, []byte(text[from:to])) // the digits of base64 and its form for URLs are the same for these letters
	}
	return forms
}

// objectsWith looks into every object of a namespace, of every kind that can be listed.
func (pt *previewTeam) objectsWith(t *testing.T, namespace, marker string) (looked int, found []string) {
	t.Helper()
	forms := hidden(marker)
	for _, resource := range pt.listable(t) {
		list, err := pt.client.Resource(resource).Namespace(namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatalf("listing %s: %v", resource, err)
		}
		for _, o := range list.Items {
			looked++
			data, err := json.Marshal(o.Object)
			if err != nil {
				t.Fatal(err)
			}
			if slices.ContainsFunc(forms, func(form []byte) bool { return bytes.Contains(data, form) }) {
				found = append(found, resource.Resource+" "+o.GetName())
			}
		}
	}
	return looked, found
}

// listable are all kinds of objects that namespaces have here.
func (pt *previewTeam) listable(t *testing.T) (all []schema.GroupVersionResource) {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		t.Fatal(err)
	}
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	lists, err := client.ServerPreferredNamespacedResources()
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range lists {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range list.APIResources {
			if slices.Contains(r.Verbs, "list") {
				all = append(all, version.WithResource(r.Name))
			}
		}
	}
	return all
}

// allowClone lets the databases of previews be filled from one of production.
func (pt *previewTeam) allowClone(t *testing.T) {
	t.Helper()
	patch := fmt.Sprintf(`{"spec":{"previews":{"clone":{"namespace":%q,"image":%q,"command":["clone"],"source":"database"}}}}`,
		pt.app+"-production", pt.images()+"/clone:1")
	if _, err := pt.client.Resource(appResource).Namespace("inhaul").Patch(t.Context(), pt.app, "application/merge-patch+json", []byte(patch), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

func (pt *previewTeam) create(t *testing.T, resource schema.GroupVersionResource, o *unstructured.Unstructured) {
	t.Helper()
	if _, err := pt.client.Resource(resource).Namespace(o.GetNamespace()).Create(t.Context(), o, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// ends returns the release of an intent once it has a verdict.
func (pt *previewTeam) ends(t *testing.T, number int, digest string) release {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), capPatience)
	defer cancel()
	for r := (release{}); ; time.Sleep(settlePause) {
		list, err := pt.client.Resource(releaseResource).Namespace(pt.namespace(pullOf(number))).List(ctx, metav1.ListOptions{})
		if errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			t.Fatalf("pull request %d: the release of %s is %s after %s", number, digest, r.Status.Phase, capPatience)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range list.Items {
			if err := decode(o.Object, &r); err != nil {
				t.Fatal(err)
			}
			if r.Spec.Intent == digest && r.terminal() {
				return r
			}
		}
	}
}
