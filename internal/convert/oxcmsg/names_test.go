package oxcmsg

import (
	"fmt"
	"testing"

	"github.com/flotilla-mail/flotilla/internal/mapi"
)

func TestNames(t *testing.T) {
	n := Names{Max: 3}
	header := func(name string) mapi.NamedProperty {
		return mapi.NamedProperty{PropertyName: mapi.PropertyName{Set: mapi.PSInternetHeaders, Kind: mapi.NameByString, Name: name}, Type: mapi.TypeString}
	}
	var bag mapi.PropBag
	for i, p := range []mapi.NamedProperty{header("X-One"), header("x-two"), header("X-ONE"), mapi.PidLidCategories, header("X-Four")} {
		v := mapi.Value(mapi.String(fmt.Sprint(i)))
		if p.Type == mapi.TypeMultiString {
			v = mapi.Strings{"red"}
		}
		n.Set(&bag, p, v)
	}
	if len(n.List()) != 3 || bag.Len() != 3 || n.Get(&bag, header("x-one")) != mapi.String("2") || n.Get(&bag, header("X-Four")) != nil {
		t.Errorf("%v %v", n.List(), bag.All())
	}
	if name, ok := n.Name(FirstNamed); !ok || name.Name != "X-One" {
		t.Errorf("first is %v", name)
	}
	for _, id := range []uint16{0, FirstNamed - 1, FirstNamed + 3, 0xFFFF} {
		if name, ok := n.Name(id); ok {
			t.Errorf("%#x is %v", id, name)
		}
	}
	var all Names
	for i := range 0x8000 {
		_, ok := all.ID(header(fmt.Sprint(i)).PropertyName)
		if ok != (i < maxNames) {
			t.Fatalf("name %d: %v", i, ok)
		}
	}
}
