package cluster

import (
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/inhaul/inhaul/envelope"
)

// TestReceiptKeyIsMadeOnce has several replicas start at the same time, with the
// rights of deploy/rbac.yaml alone and none to the Secrets of other namespaces.
func TestReceiptKeyIsMadeOnce(t *testing.T) {
	t.Parallel()
	f, name := asAgent(t)
	if err := f.admin.custom.Delete().AbsPath("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/inhaul-agent-secrets-" + name).Do(t.Context()).Error(); err != nil {
		t.Fatal(err)
	}

	const replicas = 4
	keys := make([]*envelope.KeySigner, replicas)
	var all sync.WaitGroup
	for i := range keys {
		all.Go(func() {
			var err error
			if keys[i], err = f.ReceiptKey(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if t.Failed() {
		return
	}
	for _, key := range keys {
		if key.Public().ID() != keys[0].Public().ID() {
			t.Errorf("got the keys %s and %s, want one", key.Public().ID(), keys[0].Public().ID())
		}
	}
	if got := f.shownKey(t); got != keys[0].Public().ID() {
		t.Errorf("the ConfigMap shows %s, want %s", got, keys[0].Public().ID())
	}

	if err := f.admin.core.Secrets(name).Delete(t.Context(), receiptKeyName, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	renewed, err := f.ReceiptKey(t.Context())
	if err != nil || renewed.Public().ID() == keys[0].Public().ID() {
		t.Fatalf("after its Secret was deleted: got %v, want a new key", err)
	}
	if got := f.shownKey(t); got != renewed.Public().ID() {
		t.Errorf("the ConfigMap shows %s, want the new key %s", got, renewed.Public().ID())
	}
}

// shownKey is the fingerprint of the key that people find.
func (f *fixture) shownKey(t *testing.T) string {
	t.Helper()
	shown, err := f.admin.core.ConfigMaps(f.namespace).Get(t.Context(), receiptKeyName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	key, err := envelope.ParsePublicKey([]byte(shown.Data[receiptPublicKey]))
	if err != nil {
		t.Fatal(err)
	}
	return key.ID()
}
