package spec

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestDiffLooksAtEveryField changes each field of an app, by what Go says its
// fields are, so that a new one cannot be forgotten.
func TestDiffLooksAtEveryField(t *testing.T) {
	t.Parallel()
	count := 0
	for _, full := range []bool{true, false} {
		base := func() *App {
			a := App{Services: []Service{{}}, Predeploy: &Task{}, Seed: &Task{}, Teardown: &Task{}}
			if full {
				a = shop()
			}
			return &a
		}
		for i, path := range leaves("app", reflect.ValueOf(base()).Elem(), nil) {
			for _, change := range []func(reflect.Value){other, reflect.Value.SetZero} {
				changed := base()
				at := walk(reflect.ValueOf(changed).Elem(), nil)[i]
				was := fmt.Sprintf("%#v", at.Interface())
				change(at)
				if fmt.Sprintf("%#v", at.Interface()) == was {
					continue // was zero before
				}
				count++
				if len(Diff(*base(), *changed)) == 0 {
					t.Errorf("%s changed from %s to %#v, and Diff sees nothing", path, was, at.Interface())
				}
			}
		}
	}
	if count < 150 {
		t.Errorf("changed %d values, want all of them: is the walk broken?", count)
	}
}

// walk returns every value below v that can be changed by itself, in the order
// of leaves.
func walk(v reflect.Value, found []reflect.Value) []reflect.Value {
	switch v.Kind() {
	case reflect.Struct:
		for _, field := range v.Fields() {
			found = walk(field, found)
		}
		return found
	case reflect.Pointer:
		found = append(found, v)
		if !v.IsNil() {
			found = walk(v.Elem(), found)
		}
		return found
	case reflect.Slice:
		found = append(found, v)
		for i := range v.Len() {
			found = walk(v.Index(i), found)
		}
		return found
	}
	return append(found, v)
}

// leaves returns the names of what walk finds.
func leaves(path string, v reflect.Value, found []string) []string {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			found = leaves(path+"."+v.Type().Field(i).Name, v.Field(i), found)
		}
		return found
	case reflect.Pointer:
		found = append(found, path)
		if !v.IsNil() {
			found = leaves(path, v.Elem(), found)
		}
		return found
	case reflect.Slice:
		found = append(found, path)
		for i := range v.Len() {
			found = leaves(fmt.Sprintf("%s[%d]", path, i), v.Index(i), found)
		}
		return found
	}
	return append(found, path)
}

// other gives v another value than it has.
func other(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Int:
		v.SetInt(v.Int() + 1)
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		} else {
			v.SetZero()
		}
	case reflect.Slice:
		element := reflect.New(v.Type().Elem()).Elem()
		if element.Kind() == reflect.String {
			element.SetString("x")
		} else {
			element.FieldByName("Name").SetString("x")
		}
		v.Set(reflect.Append(v, element))
	case reflect.Map:
		entries := reflect.MakeMap(v.Type())
		for _, key := range v.MapKeys() {
			entries.SetMapIndex(key, v.MapIndex(key))
		}
		entries.SetMapIndex(reflect.ValueOf("X"), reflect.ValueOf("x"))
		v.Set(entries)
	default:
		panic("a field of a kind that this test does not know: " + v.Kind().String())
	}
}

// TestDiffIsEmptyForTheSameAlone and its mirror hold for any two apps.
func TestDiffIsEmptyForTheSameAlone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyApp(t), anyApp(t)
		if rapid.Bool().Draw(t, "same") {
			b = copied(t, a)
		}
		changes := Diff(a, b)
		if same := string(encoded(t, a)) == string(encoded(t, b)); same != (len(changes) == 0) {
			t.Fatalf("same %v, and the changes are %v", same, changes)
		}
		if again := Diff(copied(t, a), copied(t, b)); !slices.Equal(again, changes) {
			t.Fatalf("twice, and not the same: %v, %v", changes, again)
		}
		for _, c := range changes {
			if c.Kind == Changed && c.Old == c.New {
				t.Errorf("%v shows no difference", c)
			}
		}
	})
}

func TestDiffTurnedAround(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyApp(t), anyApp(t)
		turned := Diff(b, a)
		for i, c := range turned {
			turned[i] = Change{Path: c.Path, Old: c.New, New: c.Old, Kind: map[ChangeKind]ChangeKind{Added: Removed, Removed: Added, Changed: Changed}[c.Kind]}
		}
		sorted := func(changes []Change) []string {
			var lines []string
			for _, c := range changes {
				lines = append(lines, fmt.Sprintf("%q", c))
			}
			slices.Sort(lines)
			return lines
		}
		if diff := cmp.Diff(sorted(Diff(a, b)), sorted(turned)); diff != "" {
			t.Errorf("not each other's mirror:\n%s", diff)
		}
	})
}

// anyApp draws an app of few words, so that two of them have things in common.
func anyApp(t *rapid.T) App {
	var a App
	draw(t, reflect.ValueOf(&a).Elem())
	for i := range a.Services {
		s := &a.Services[i]
		s.Name = string(rune('a' + i))
		s.Type = rapid.SampledFrom(ServiceTypes()).Draw(t, "type")
		for j := range s.Volumes {
			s.Volumes[j].Name = string(rune('a' + j))
		}
	}
	for i := range a.Databases {
		a.Databases[i].Name = string(rune('a' + i))
	}
	return a
}

func draw(t *rapid.T, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for _, field := range v.Fields() {
			draw(t, field)
		}
	case reflect.String:
		v.SetString(rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "string"))
	case reflect.Int:
		v.SetInt(int64(rapid.IntRange(0, 2).Draw(t, "int")))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "bool"))
	case reflect.Pointer:
		if rapid.Bool().Draw(t, "there") {
			v.Set(reflect.New(v.Type().Elem()))
			draw(t, v.Elem())
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 0, 2))
		for range rapid.IntRange(0, 2).Draw(t, "length") {
			element := reflect.New(v.Type().Elem()).Elem()
			draw(t, element)
			v.Set(reflect.Append(v, element))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for _, key := range []string{"A", "B"} {
			if rapid.Bool().Draw(t, "there") {
				value := reflect.New(v.Type().Elem()).Elem()
				draw(t, value)
				v.SetMapIndex(reflect.ValueOf(key), value)
			}
		}
	default:
		t.Fatalf("a field of a kind that this test does not know: %s", v.Kind())
	}
}

func encoded(t *rapid.T, a App) []byte {
	data, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func copied(t *rapid.T, a App) App {
	var b App
	if err := json.Unmarshal(encoded(t, a), &b); err != nil {
		t.Fatal(err)
	}
	return b
}
