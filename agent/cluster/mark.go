package cluster

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/inhaul/inhaul/agent/render"
)

// mark stands for who owns which fields of an object, and is all that a cache
// keeps of managedFields.
//
// The API server takes a field away from whoever applied it when somebody else
// changes or removes it, and leaves it alone when nobody does
// (https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management).
// So own stays as it was after the last write of this agent until somebody
// touches what it wrote, whatever else becomes of the object: status, other
// labels, fields that no release sets.
type mark struct {
	own     string // of the fields that Inhaul owns
	foreign string // of those that others own, and since when; empty if there are none
	// generation counts the changes of its spec, by anybody: through the scale
	// subresource they leave no time. 0 where an autoscaler makes them, and for kinds
	// that do not count.
	generation int64
}

// markType says that an entry of managedFields is a mark and no API server's.
const markType = "inhaul.dev/mark"

// keepMark puts o's mark in the place of its managed fields. Doing it twice is
// doing it once.
func keepMark(o metav1.Object) {
	m := markOf(o)
	o.SetManagedFields([]metav1.ManagedFieldsEntry{{FieldsType: markType, Manager: m.own, APIVersion: m.foreign}})
}

// markOf is the mark that o was given by keepMark, or that of its managed fields.
func markOf(o metav1.Object) mark {
	entries := o.GetManagedFields()
	scaled, outside := scaling(o)
	var m mark
	if !scaled {
		m.generation = o.GetGeneration()
	}
	if len(entries) == 1 && entries[0].FieldsType == markType {
		m.own, m.foreign = entries[0].Manager, entries[0].APIVersion
		return m
	}
	own, foreign := sha256.New(), sha256.New()
	strangers := 0
	for _, e := range entries {
		switch {
		case isOurs(e):
			own.Write(fieldsOf(e, scaled))
		case e.Subresource == "status", e.Subresource == "scale" && scaled: // a controller's, an autoscaler's
		default:
			strangers++
			written, _ := json.Marshal([]any{e.Manager, e.Operation, e.Subresource, e.Time}) // texts: cannot fail
			foreign.Write(written)
			foreign.Write(fieldsOf(e, scaled))
		}
	}
	m.own = abridged(own.Sum(nil))
	if strangers > 0 {
		m.foreign = abridged(foreign.Sum(nil))
	}
	if outside {
		m.own += "!" // never what a release has left
	}
	return m
}

// abridged is enough of a hash to tell changes from each other.
func abridged(sum []byte) string { return hex.EncodeToString(sum[:8]) }

// isOurs reports whether an entry is about what this agent wrote.
func isOurs(e metav1.ManagedFieldsEntry) bool {
	return e.Manager == render.Manager && e.Subresource == ""
}

// fieldsOf is the set of fields of an entry, for a service that scales without
// the number of its pods: that belongs to whoever scales it.
func fieldsOf(e metav1.ManagedFieldsEntry, scaled bool) []byte {
	if e.FieldsV1 == nil {
		return nil
	}
	raw := e.FieldsV1.GetRawBytes()
	if !scaled {
		return raw
	}
	var set map[string]map[string]json.RawMessage
	if json.Unmarshal(raw, &set) != nil {
		return raw
	}
	delete(set["f:spec"], "f:replicas")
	if len(set["f:spec"]) == 0 {
		delete(set, "f:spec")
	}
	without, err := json.Marshal(set)
	if err != nil {
		return raw // not after Unmarshal
	}
	return without
}

// scaling reports whether o is a Deployment whose number of pods follows the
// load, and whether that number is outside its bounds.
func scaling(o metav1.Object) (scaled, outside bool) {
	low, high, scaled := scaleBounds(o)
	if !scaled {
		return false, false
	}
	var replicas int64
	switch typed := o.(type) {
	case *appsv1.Deployment:
		if typed.Spec.Replicas == nil {
			return true, false
		}
		replicas = int64(*typed.Spec.Replicas)
	case *unstructured.Unstructured:
		replicas, _, _ = unstructured.NestedInt64(typed.Object, "spec", "replicas")
	default:
		return true, false
	}
	return true, replicas < low || replicas > high
}

// fieldsOwned are the fields of o that this agent owns, as managedFields has them.
func fieldsOwned(o metav1.Object) map[string]any {
	var set map[string]any
	for _, e := range o.GetManagedFields() {
		if isOurs(e) && e.Operation == metav1.ManagedFieldsOperationApply && e.FieldsV1 != nil && json.Unmarshal(e.FieldsV1.GetRawBytes(), &set) == nil {
			return set
		}
	}
	return nil
}

// owners are the managers of the entries, but for this agent, that own one of
// the paths, the last to write first.
func owners(entries []metav1.ManagedFieldsEntry, paths []fieldPath) []string {
	last := map[string]time.Time{}
	for _, e := range entries {
		var set map[string]any
		if isOurs(e) || e.FieldsV1 == nil || json.Unmarshal(e.FieldsV1.GetRawBytes(), &set) != nil {
			continue
		}
		if !slices.ContainsFunc(paths, func(p fieldPath) bool { return p.in(set) }) {
			continue
		}
		name := e.Manager
		if e.Subresource != "" {
			name += " (" + e.Subresource + ")"
		}
		var at time.Time
		if e.Time != nil {
			at = e.Time.Time
		}
		if known, ok := last[name]; !ok || known.Before(at) {
			last[name] = at
		}
	}
	return slices.SortedFunc(maps.Keys(last), func(a, b string) int {
		return cmp.Or(last[b].Compare(last[a]), cmp.Compare(a, b))
	})
}
