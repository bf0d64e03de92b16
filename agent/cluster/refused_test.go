package cluster

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/rest"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
	"github.com/inhaul/inhaul/spec"
)

// answered is a Client, without running caches, of an API server that is answer.
func answered(t *testing.T, answer http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	connections, err := connect(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	c := &Client{
		log: slog.New(slog.DiscardHandler), clients: connections, resources: connections.resources(), changes: newChanges(), bells: &bells{},
		releases: newOverlay(time.Now), apps: newOverlay(time.Now), previews: newOverlay(time.Now), ensured: map[string]string{}, pruned: map[string]bool{},
	}
	if err := c.watch(); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestAnAPIServerThatHasNotReadItsRolesRefusesNothing is about one that has just
// started: what it forbids then it allows a moment later.
func TestAnAPIServerThatHasNotReadItsRolesRefusesNothing(t *testing.T) {
	t.Parallel()
	at := agent.Object{Kind: "NetworkPolicy", Name: "shop-web"}
	policies := schema.GroupResource{Group: "networking.k8s.io", Resource: "networkpolicies"}
	for why, want := range map[string]bool{
		`User "system:serviceaccount:inhaul:inhaul-agent" cannot patch resource "networkpolicies": RBAC: [clusterrole.rbac.authorization.k8s.io "system:discovery" not found, clusterrole.rbac.authorization.k8s.io "inhaul-agent" not found]`: false,
		`User "system:serviceaccount:inhaul:inhaul-agent" cannot patch resource "networkpolicies" in API group "networking.k8s.io"`:                                                                                                            true,
		"exceeded quota: small, requested: pods=1": true,
	} {
		err := (&Client{}).rejected(at, apierrors.NewForbidden(policies, at.Name, errors.New(why)), func(s string) string { return s })
		if rejected := (*agent.Rejected)(nil); errors.As(err, &rejected) != want {
			t.Errorf("%s: got %v, want a refusal: %t", why, err, want)
		}
	}
}

// TestPruneLeavesOthersObjectsAlone is about an inventory that names what its
// release was refused, because somebody else has it.
func TestPruneLeavesOthersObjectsAlone(t *testing.T) {
	t.Parallel()
	release := agent.Release{Line: agent.Line{App: "shop", Environment: "production"}, Namespace: "shop"}
	for _, test := range []struct {
		name    string
		labels  map[string]string
		deleted bool
	}{
		{"ours", map[string]string{render.LabelManagedBy: render.Manager, render.LabelApp: "shop"}, true},
		{"of another app", map[string]string{render.LabelManagedBy: render.Manager, render.LabelApp: "shop-web"}, false},
		{"of somebody else", map[string]string{render.LabelApp: "shop"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var sent []string
			c := answered(t, func(w http.ResponseWriter, r *http.Request) {
				sent = append(sent, r.Method)
				w.WriteHeader(http.StatusNotFound)
			})
			live := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "shop-web-x", Labels: test.labels}}
			if err := c.informers["Service"].GetStore().Add(live); err != nil {
				t.Fatal(err)
			}
			gone := []agent.Object{{APIVersion: "v1", Kind: "Service", Namespace: "shop", Name: "shop-web-x"}}
			left, err := c.Prune(t.Context(), release, gone, nil)
			if err != nil || len(left) != 0 {
				t.Errorf("got %v, %v; want nothing left to be tried again", left, err)
			}
			if deleted := strings.Join(sent, " ") == http.MethodDelete; deleted != test.deleted || !deleted && len(sent) != 0 {
				t.Errorf("got requests %v, want a deletion: %t", sent, test.deleted)
			}
		})
	}
}

func TestAReleaseThatIsNeverStoredIsRejected(t *testing.T) {
	t.Parallel()
	kind, resource := schema.GroupKind{Group: "inhaul.dev", Kind: "Release"}, schema.GroupResource{Group: "inhaul.dev", Resource: "releases"}
	long := field.TooLong(field.NewPath("spec", "definition").Key("password: hunter22222"), "", 1024)
	for _, test := range []struct {
		name     string
		answer   *apierrors.StatusError
		rejected bool
	}{
		{"invalid", apierrors.NewInvalid(kind, "shop-7", field.ErrorList{long}), true},
		{"too large", apierrors.NewRequestEntityTooLargeError("limit is 3145728"), true},
		{"overloaded", apierrors.NewInternalError(errors.New("etcd is slow")), false},
		{"forbidden", apierrors.NewForbidden(resource, "shop-7", errors.New("exceeded quota")), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := answered(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(int(test.answer.ErrStatus.Code))
				if err := json.NewEncoder(w).Encode(test.answer.ErrStatus); err != nil {
					t.Error(err)
				}
			})
			r := agent.Release{Line: agent.Line{App: "shop", Environment: "production"}, Namespace: "shop", Number: 7}
			c.ensured[r.Namespace] = lineKey(r.Line)
			_, err := c.CreateRelease(t.Context(), r)
			var rejected *agent.Rejected
			if err == nil || errors.As(err, &rejected) != test.rejected {
				t.Fatalf("got %v, want it rejected: %t", err, test.rejected)
			}
			if rejected != nil && (rejected.Object.Name != "shop-7" || strings.Contains(rejected.Message, "hunter2")) {
				t.Errorf("got %+v, want the name of the release and no secret", rejected)
			}
		})
	}
}

// TestTroubleWithWritingIsToldWithoutSecrets is about an error that ends in a
// release's cause when it lasts.
func TestTroubleWithWritingIsToldWithoutSecrets(t *testing.T) {
	t.Parallel()
	c := answered(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		if _, err := w.Write([]byte("the webhook says: password=hunter2 is weak")); err != nil {
			t.Error(err)
		}
	})
	r := agent.Release{Line: agent.Line{App: "shop", Environment: "production"}, Namespace: "shop", Number: 7}
	r.App.Services = []spec.Service{{Name: "worker", Type: spec.Worker, Replicas: 1, CPU: "1m", Memory: "1Mi"}}
	_, err := c.Apply(t.Context(), r)
	var rejected *agent.Rejected
	if err == nil || errors.As(err, &rejected) || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "the webhook says") {
		t.Errorf("got %v, want trouble without the secret", err)
	}
}

func TestObjectsAreKnownBeforeTheyAreWritten(t *testing.T) {
	t.Parallel()
	r := filled[agent.Release]()
	r.Line.App, r.Namespace, r.App.Services = "shop", "shop", r.App.Services[:1]
	r.App.Databases, r.App.Services[0].Scale = nil, spec.Scale{} // which would be refused, and need KEDA
	r.App.Services[0].CPU, r.App.Services[0].Memory, r.App.Services[0].Type = "1m", "1Mi", "web"
	c := answered(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("got %s %s, want no request", r.Method, r.URL) })
	objects, err := c.Objects(t.Context(), r)
	if err != nil || len(objects) < 4 {
		t.Fatalf("got %v, %v; want the objects of a web service", objects, err)
	}
	for _, o := range objects {
		if o.Kind == "" || o.Name == "" || o.Namespace != "shop" {
			t.Errorf("got %+v, want a whole reference", o)
		}
	}
	r.App.Services[0].CPU = "much"
	var rejected *agent.Rejected
	if _, err := c.Objects(t.Context(), r); !errors.As(err, &rejected) {
		t.Errorf("got %v, want Rejected", err)
	}
}
