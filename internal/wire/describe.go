package wire

import (
	"fmt"
	"reflect"
)

// Describe lists the fields of v's type and of every struct below it, one a line: type, tag, field, coding. A golden
// file of these lines for all records and messages shows when a number that is for ever was changed. Describing a
// type also makes its plan, so a type that cannot be coded shows there and not in service.
func Describe(v any) []string {
	t := reflect.TypeOf(v)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return describe(t, map[reflect.Type]bool{})
}

func describe(t reflect.Type, seen map[reflect.Type]bool) []string {
	if seen[t] {
		return nil
	}
	seen[t] = true
	p := planOf(t)
	if p.own {
		return []string{fmt.Sprintf("%v own", t)}
	}
	var lines, below []string
	for _, f := range p.fields {
		what := f.codec.what
		if f.repeated {
			what = "list of " + what
		}
		lines = append(lines, fmt.Sprintf("%v %d %s %s", t, f.tag, f.name, what))
		below = append(below, describeBelow(t.Field(f.index).Type, seen)...)
	}
	return append(lines, below...)
}

func describeBelow(t reflect.Type, seen map[reflect.Type]bool) []string {
	for !isOwn(t) && (t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice) {
		t = t.Elem()
	}
	if isOwn(t) || t == timeType || t.Kind() != reflect.Struct {
		return nil
	}
	return describe(t, seen)
}
