package cluster

import (
	"errors"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
)

// TestNamespaceWithoutARecordIsDeleted does so with the rights of the agent alone. One
// whose record is there is left alone, whatever is asked.
func TestNamespaceWithoutARecordIsDeleted(t *testing.T) {
	t.Parallel()
	f := previewing(t)
	r, p := f.preview(t)
	f.created(t, r)
	find := func() (agent.PreviewSpace, bool) {
		spaces, err := f.PreviewSpaces(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(spaces, func(s agent.PreviewSpace) bool { return s.Namespace == r.Namespace })
		if i < 0 {
			return agent.PreviewSpace{}, false
		}
		return spaces[i], true
	}
	s, found := find()
	if !found || !s.Owned || s.Owner != p.UID || s.Line != r.Line || s.CreatedAt.IsZero() {
		t.Fatalf("got %+v, want that of the preview", s)
	}
	if err := f.DeleteSpace(t.Context(), s); !errors.Is(err, agent.ErrForeign) {
		t.Errorf("deleting what has a record: got %v, want ErrForeign", err)
	}

	if err := f.admin.core.ResourceQuotas(r.Namespace).Delete(t.Context(), render.PreviewRails, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := f.PutUpRails(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	f.checkRails(t, r.Namespace)

	if err := f.ForgetPreview(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if s, found = find(); !found || s.Owned {
		t.Fatalf("without a record: got %+v, want that nobody owns it", s)
	}
	stale := s
	stale.Version = "1"
	if err := f.DeleteSpace(t.Context(), stale); !errors.Is(err, agent.ErrConflict) {
		t.Errorf("deleting what has changed: got %v, want ErrConflict", err)
	}
	if err := f.DeleteSpace(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the namespace is ending", func() bool { s, found = find(); return !found || !s.EndingAt.IsZero() })
}
