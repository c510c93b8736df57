package store

import (
	"reflect"
	"unicode/utf8"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// textCheck reports whether all strings of a value are UTF-8. Strings of a request become properties and are shown to every
// client, whose coding refuses others: one that came in would make its record unreadable. nil: there are none in the type.
type textCheck func(reflect.Value) bool

// checkText refuses a request that holds a string which is none.
func checkText(check textCheck, req any) error {
	if check == nil || check(reflect.ValueOf(req).Elem()) {
		return nil
	}
	return cluster.Errorf(cluster.KindBadRequest, "a text of %T is not UTF-8", req)
}

// textChecks are those of types already met: a request may hold another of its own type.
type textChecks map[reflect.Type]*textCheck

// textsOf is what checks requests of a type. Types with a coding of their own check themselves.
func textsOf(t reflect.Type) textCheck { return make(textChecks).of(t) }

func (all textChecks) of(t reflect.Type) textCheck {
	if reflect.PointerTo(t).Implements(reflect.TypeFor[wire.Unmarshaler]()) {
		return nil
	}
	switch t.Kind() {
	case reflect.String:
		return func(v reflect.Value) bool { return utf8.ValidString(v.String()) }
	case reflect.Pointer:
		return all.below(t, func(check textCheck, v reflect.Value) bool { return v.IsNil() || check(v.Elem()) })
	case reflect.Slice, reflect.Array:
		return all.below(t, eachText)
	case reflect.Struct:
		return all.fields(t)
	}
	return nil
}

func (all textChecks) below(t reflect.Type, fn func(textCheck, reflect.Value) bool) textCheck {
	check := all.of(t.Elem())
	if check == nil {
		return nil
	}
	return func(v reflect.Value) bool { return fn(check, v) }
}

func eachText(check textCheck, v reflect.Value) bool {
	for i := range v.Len() {
		if !check(v.Index(i)) {
			return false
		}
	}
	return true
}

func (all textChecks) fields(t reflect.Type) textCheck {
	if met := all[t]; met != nil {
		return func(v reflect.Value) bool { return *met == nil || (*met)(v) }
	}
	met := new(textCheck)
	all[t] = met
	checks := make(map[int]textCheck)
	for i := range t.NumField() {
		if f := t.Field(i); f.IsExported() {
			if check := all.of(f.Type); check != nil {
				checks[i] = check
			}
		}
	}
	if len(checks) > 0 {
		*met = func(v reflect.Value) bool {
			for i, check := range checks {
				if !check(v.Field(i)) {
					return false
				}
			}
			return true
		}
	}
	return *met
}
