package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typed "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
	"github.com/inhaul/inhaul/spec"
)

// kept is a store of secrets, by NAME#KEY. What it does not have is missing; of
// the name "trouble" it does not know.
type kept map[string]string

func (k kept) Read(_ context.Context, namespace string, ref spec.Reference) (string, error) {
	k["reads"] += ref.Name + "#" + ref.Key + " "
	value, ok := k[ref.Name+"#"+ref.Key]
	switch {
	case ref.Name == "trouble":
		return "", errors.New("timed out")
	case !ok:
		return "", missing("%s has no %s#%s", namespace, ref.Name, ref.Key)
	}
	return value, nil
}

func testLookup(store kept) *lookup {
	return &lookup{namespace: "shop", readers: map[string]SecretReader{"k8s": store}, seed: make(seed, seedBytes), known: map[string]string{}}
}

func TestValuesOfReferences(t *testing.T) {
	t.Parallel()
	store := kept{"db#url": "postgres://", "db#user": "shop"}
	holders := []render.Holder{
		{Name: "web", Secrets: map[string]string{"DATABASE_URL": "k8s://db#url", "USER": "k8s://db#user", "KEY": "generate://16"}},
		{Name: render.TaskHolder(agent.TaskPredeploy), Secrets: map[string]string{"DATABASE_URL": "k8s://db#url", "KEY": "generate://16", "OTHER": "generate://16"}},
		{Name: "worker"},
	}
	got, err := testLookup(store).values(t.Context(), holders)
	if err != nil {
		t.Fatal(err)
	}
	key, other := got["web"]["KEY"], got[render.TaskHolder(agent.TaskPredeploy)]["OTHER"]
	if len(key) != 32 || len(other) != 32 || key == other {
		t.Errorf("generated values: got %q and %q", key, other)
	}
	want := map[string]map[string]string{
		"web":                                  {"DATABASE_URL": "postgres://", "USER": "shop", "KEY": key},
		render.TaskHolder(agent.TaskPredeploy): {"DATABASE_URL": "postgres://", "KEY": key, "OTHER": other},
		"worker":                               {},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got, want := store["reads"], "db#url db#user "; got != want {
		t.Errorf("read %q, want each reference once: %q", got, want)
	}
}

func TestMissingSecretsAreNamedAllAtOnce(t *testing.T) {
	t.Parallel()
	holders := []render.Holder{
		{Name: "web", Secrets: map[string]string{"DATABASE_URL": "k8s://db#url", "KEY": "aws-sm://key", "USER": "k8s://db#user"}},
		{Name: "worker", Secrets: map[string]string{"DATABASE_URL": "k8s://db#url"}},
		{Name: "worker.queue", Secrets: map[string]string{"DATABASE_URL": "k8s://db#url"}},
		{Name: render.TaskHolder(agent.TaskPredeploy), Secrets: map[string]string{"OLD": "sk_live_abcdefghijklmnop"}},
	}
	_, err := testLookup(kept{"db#user": "shop"}).values(t.Context(), holders)
	var rejected *agent.Rejected
	if !errors.As(err, &rejected) {
		t.Fatalf("got %v, want it rejected", err)
	}
	if diff := cmp.Diff(agent.Object{APIVersion: "v1", Kind: "Secret", Namespace: "shop", Name: "db"}, rejected.Object); diff != "" {
		t.Errorf("object (-want +got):\n%s", diff)
	}
	want := []string{
		"web, worker: DATABASE_URL: shop has no db#url",
		"web: KEY: this agent cannot read aws-sm:// references: use k8s://NAME#KEY, or ask the platform owner",
		"predeploy: OLD: want a reference to where the secret is kept: k8s://NAME#KEY, generate://BYTES, aws-sm://NAME#KEY or aws-ssm:///PATH",
	}
	if diff := cmp.Diff(want, strings.Split(rejected.Message, "; ")); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
}

func TestALiteralIsNeverTold(t *testing.T) {
	t.Parallel()
	_, err := testLookup(nil).values(t.Context(), []render.Holder{{Name: "web", Secrets: map[string]string{"KEY": "sk_live_abcdefghijklmnop"}}})
	var rejected *agent.Rejected
	if !errors.As(err, &rejected) || strings.Contains(rejected.Message+rejected.Object.Name, "sk_live") {
		t.Errorf("got %v, want a refusal without the text", err)
	}
}

func TestTroubleIsNoRefusal(t *testing.T) {
	t.Parallel()
	_, err := testLookup(kept{}).values(t.Context(), []render.Holder{{Name: "web", Secrets: map[string]string{"URL": "k8s://trouble#url"}}})
	var rejected *agent.Rejected
	if err == nil || errors.As(err, &rejected) || !strings.Contains(err.Error(), "web: URL: timed out") {
		t.Errorf("got %v, want an error that may go away", err)
	}
}

// TestSecretsOfTheNamespace reads from a server that answers as Kubernetes does.
func TestSecretsOfTheNamespace(t *testing.T) {
	t.Parallel()
	secrets := map[string]corev1.Secret{
		"db":      {Data: map[string][]byte{"url": []byte("postgres://db")}},
		"ours":    {ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{render.LabelManagedBy: render.Manager}}, Data: map[string][]byte{"url": []byte("x")}},
		"account": {Type: corev1.SecretTypeServiceAccountToken, Data: map[string][]byte{"url": []byte("x")}},
	}
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		folder, name := path.Split(r.URL.Path)
		secret, ok := secrets[name]
		secret.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}
		var answer any = secret
		w.Header().Set("Content-Type", "application/json")
		switch {
		case folder != "/api/v1/namespaces/shop/secrets/":
			w.WriteHeader(http.StatusTeapot)
		case name == "forbidden":
			w.WriteHeader(http.StatusForbidden)
			answer = metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure, Reason: metav1.StatusReasonForbidden, Code: 403}
		case !ok:
			w.WriteHeader(http.StatusNotFound)
			answer = metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure, Reason: metav1.StatusReasonNotFound, Code: 404}
		}
		_ = json.NewEncoder(w).Encode(answer) // the client says what it lacks
	}))
	t.Cleanup(server.Close)
	core, err := typed.NewForConfig(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	reader := &namespaceSecrets{core: core, read: map[string]*corev1.Secret{}}
	read := func(name, key string) (string, error) {
		return reader.Read(t.Context(), "shop", spec.Reference{Scheme: "k8s", Name: name, Key: key})
	}
	for range 2 {
		if got, err := read("db", "url"); err != nil || got != "postgres://db" {
			t.Errorf("got %q, %v", got, err)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times for one Secret", asked)
	}
	for _, test := range []struct{ name, key, want string }{
		{"db", "user", `Secret "db" in namespace "shop" has no key "user": kubectl -n shop patch secret db -p '{"stringData":{"user":"VALUE"}}'`},
		{"none", "url", `there is no Secret "none" in namespace "shop": kubectl -n shop create secret generic none --from-literal=url=VALUE`},
		{"ours", "url", `Secret "ours" in namespace "shop" is Inhaul's own: name the one that it was made from`},
		{"account", "url", `Secret "account" in namespace "shop" is a service account's token, which no app is given`},
		{"forbidden", "url", `the agent may not read Secret "forbidden" in namespace "shop": ask the platform owner`},
	} {
		_, err := read(test.name, test.key)
		var none *MissingSecretError
		if !errors.As(err, &none) || none.Message != test.want {
			t.Errorf("%s#%s: got %v, want %q", test.name, test.key, err, test.want)
		}
	}
	server.Close()
	var none *MissingSecretError
	if _, err := read("other", "url"); err == nil || errors.As(err, &none) {
		t.Errorf("nobody answers: got %v, want an error that may go away", err)
	}
}
