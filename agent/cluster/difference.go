package cluster

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/inhaul/inhaul/api/v1alpha1"
)

// The bounds of what is told of a difference.
const (
	maxFields = 8   // fields of one object
	maxValue  = 200 // bytes of one value: an image with its digest
)

// step is one step of a path: the name of a field, or an item of a list.
type step struct {
	field string
	item  any // of a list, as it is there or would be; nil for a field
	label string
}

// fieldPath leads to a field of an object.
type fieldPath []step

func (p fieldPath) String() string {
	var b strings.Builder
	for i, s := range p {
		switch {
		case s.item != nil:
			b.WriteString("[" + s.label + "]")
		case strings.ContainsAny(s.field, "./"):
			b.WriteString("[" + s.field + "]")
		case i > 0:
			b.WriteString("." + s.field)
		default:
			b.WriteString(s.field)
		}
	}
	return b.String()
}

// in reports whether a set of managed fields has p, or a field that p is part of
// and that is owned as a whole
// (https://pkg.go.dev/sigs.k8s.io/structured-merge-diff/v6/fieldpath).
func (p fieldPath) in(set map[string]any) bool {
	for i, s := range p {
		if i > 0 && len(set) == 0 {
			return true
		}
		next, found := s.of(set)
		if !found {
			return false
		}
		set = next
	}
	return true
}

// of is what a set has below s.
func (s step) of(set map[string]any) (map[string]any, bool) {
	if s.item == nil {
		next, found := set["f:"+s.field].(map[string]any)
		return next, found
	}
	for key, below := range set {
		next, _ := below.(map[string]any)
		if text, keyed := strings.CutPrefix(key, "k:"); keyed && hasKeys(s.item, text) {
			return next, true
		}
		if text, value := strings.CutPrefix(key, "v:"); value && text == jsonText(s.item) {
			return next, true
		}
	}
	return nil, false
}

// hasKeys reports whether an item of a list has the fields of keys, in JSON.
func hasKeys(item any, keys string) bool {
	fields, ok := item.(map[string]any)
	var wanted map[string]any
	if !ok || json.Unmarshal([]byte(keys), &wanted) != nil {
		return false
	}
	for key, value := range wanted {
		if jsonText(fields[key]) != jsonText(value) {
			return false
		}
	}
	return true
}

func jsonText(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return "" // not of what came from JSON
	}
	return string(text)
}

// difference is one field that is not as it should be.
type difference struct {
	path       fieldPath
	live, want any // nil: none
}

// differences are the fields in which two states of one object differ, in the
// order of their names: all that people write, and nothing that the API server
// and controllers write by themselves.
func differences(live, want map[string]any) []difference {
	var all []difference
	compare(&all, nil, people(live), people(want))
	return all
}

// people is what people write of an object.
func people(o map[string]any) map[string]any {
	kept := maps.Clone(o)
	for _, field := range []string{"apiVersion", "kind", "status"} {
		delete(kept, field)
	}
	metadata, _ := o["metadata"].(map[string]any)
	kept["metadata"] = map[string]any{}
	for _, field := range []string{"labels", "annotations", "finalizers", "ownerReferences"} {
		if value, found := metadata[field]; found {
			kept["metadata"].(map[string]any)[field] = value //nolint:forcetypeassert // because it was made above
		}
	}
	return kept
}

func compare(all *[]difference, at fieldPath, live, want any) {
	if reflect.DeepEqual(live, want) {
		return
	}
	liveMap, isMap := live.(map[string]any)
	wantMap, alsoMap := want.(map[string]any)
	if isMap && alsoMap {
		names := slices.Collect(maps.Keys(liveMap))
		names = slices.AppendSeq(names, maps.Keys(wantMap))
		slices.Sort(names)
		for _, name := range slices.Compact(names) {
			compare(all, at.then(step{field: name}), liveMap[name], wantMap[name])
		}
		return
	}
	liveList, isList := live.([]any)
	wantList, alsoList := want.([]any)
	if isList && alsoList && compareItems(all, at, liveList, wantList) {
		return
	}
	*all = append(*all, difference{path: at, live: live, want: want})
}

// then is p with one more step; p stays as it is.
func (p fieldPath) then(s step) fieldPath { return append(slices.Clip(slices.Clone(p)), s) }

// itemKeys are the fields that tell the items of the API's lists apart.
func itemKeys() []string {
	return []string{"name", "containerPort", "port", "mountPath", "topologyKey"}
}

// compareItems compares lists whose items have a key; false if they have none.
func compareItems(all *[]difference, at fieldPath, live, want []any) bool {
	for _, key := range itemKeys() {
		liveItems, ok := byKey(live, key)
		wantItems, also := byKey(want, key)
		if !ok || !also {
			continue
		}
		labels := slices.Collect(maps.Keys(liveItems))
		labels = slices.AppendSeq(labels, maps.Keys(wantItems))
		slices.Sort(labels)
		before := len(*all)
		for _, label := range slices.Compact(labels) {
			item := liveItems[label]
			if item == nil {
				item = wantItems[label]
			}
			compare(all, at.then(step{item: item, label: label}), liveItems[label], wantItems[label])
		}
		return len(*all) > before // else their order alone
	}
	return false
}

// byKey are the items of a list by the value of key, if each has its own.
func byKey(list []any, key string) (map[string]any, bool) {
	items := map[string]any{}
	for _, item := range list {
		fields, ok := item.(map[string]any)
		if !ok || fields[key] == nil {
			return nil, false
		}
		items[fmt.Sprint(fields[key])] = item
	}
	return items, len(items) == len(list)
}

// toldDifferences are the differences in words, bounded: of a kind that has
// people's values in it only the names of the fields.
func toldDifferences(kind string, all []difference) []string {
	var lines []string
	for i, d := range all {
		if i == maxFields {
			lines = append(lines, "and "+strconv.Itoa(len(all)-i)+" more")
			break
		}
		line := printable(d.path.String()) + ": " + d.words(kind == "Secret" || kind == "ConfigMap")
		lines = append(lines, cut(line, v1alpha1.MaxDriftField))
	}
	return lines
}

// words tell a difference: of single values what they are, of all else and of
// what is secret how they changed.
func (d difference) words(secret bool) string {
	live, single := d.path.value(d.live)
	want, also := d.path.value(d.want)
	switch {
	case !secret && single && also:
		return live + ", want " + want
	case d.live == nil:
		return "removed"
	case d.want == nil:
		return "added"
	}
	return "changed"
}

// value is a single value at p in words; false for a list or an object. What
// looks like a secret, by itself or by the name of its variable, is left out.
func (p fieldPath) value(value any) (words string, single bool) {
	switch value.(type) {
	case nil:
		return "none", true
	case map[string]any, []any:
		return "", false
	}
	name := "value"
	for _, s := range slices.Backward(p) {
		if s.field != "value" { // of a variable
			name = cmp.Or(s.label, s.field)
			break
		}
	}
	text, _ := strings.CutPrefix(redact(name+"="+fmt.Sprint(value)), name+"=")
	return cut(printable(strings.Join(strings.Fields(text), " ")), maxValue), true
}

// treeOf is an object as its JSON has it.
func treeOf(o object) (map[string]any, error) {
	if u, ok := o.(*unstructured.Unstructured); ok {
		return u.Object, nil
	}
	return runtime.DefaultUnstructuredConverter.ToUnstructured(o)
}
