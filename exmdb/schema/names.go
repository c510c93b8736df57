package schema

import (
	"strings"

	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// localNames are the names that Outlook gives the fixed folders in other languages than English, by the primary subtag
// of RFC 5646. What a language does not say, and folders that no user sees, are named in English. Names are copied into
// the mailbox when it is made, so the table may change. "pt" is as in Brazil.
var localNames = map[string]map[mapi.GlobalCounter]string{
	"de": {0x0A: "Gesendete Elemente", 0x0B: "Gelöschte Elemente", 0x0C: "Postausgang", 0x0D: "Posteingang", 0x0E: "Entwürfe",
		0x0F: "Kalender", 0x10: "Journal", 0x11: "Notizen", 0x12: "Aufgaben", 0x13: "Kontakte", 0x17: "Junk-E-Mail",
		0x19: "Synchronisierungsprobleme", 0x1A: "Konflikte", 0x1B: "Lokale Fehler", 0x1C: "Serverfehler", 0x1E: "Archiv"},
	"es": {0x0A: "Elementos enviados", 0x0B: "Elementos eliminados", 0x0C: "Bandeja de salida", 0x0D: "Bandeja de entrada",
		0x0E: "Borradores", 0x0F: "Calendario", 0x10: "Diario", 0x11: "Notas", 0x12: "Tareas", 0x13: "Contactos",
		0x17: "Correo no deseado", 0x19: "Problemas de sincronización", 0x1A: "Conflictos", 0x1E: "Archivo"},
	"fr": {0x0A: "Éléments envoyés", 0x0B: "Éléments supprimés", 0x0C: "Boîte d'envoi", 0x0D: "Boîte de réception",
		0x0E: "Brouillons", 0x0F: "Calendrier", 0x10: "Journal", 0x11: "Notes", 0x12: "Tâches", 0x13: "Contacts",
		0x17: "Courrier indésirable", 0x19: "Problèmes de synchronisation", 0x1A: "Conflits"},
	"it": {0x0A: "Posta inviata", 0x0B: "Posta eliminata", 0x0C: "Posta in uscita", 0x0D: "Posta in arrivo", 0x0E: "Bozze",
		0x0F: "Calendario", 0x10: "Diario", 0x11: "Note", 0x12: "Attività", 0x13: "Contatti", 0x17: "Posta indesiderata",
		0x19: "Problemi di sincronizzazione", 0x1A: "Conflitti", 0x1E: "Archivio"},
	"nl": {0x0A: "Verzonden items", 0x0B: "Verwijderde items", 0x0C: "Postvak UIT", 0x0D: "Postvak IN", 0x0E: "Concepten",
		0x0F: "Agenda", 0x10: "Logboek", 0x11: "Notities", 0x12: "Taken", 0x13: "Contactpersonen", 0x17: "Ongewenste e-mail",
		0x19: "Synchronisatieproblemen", 0x1A: "Conflicten", 0x1E: "Archief"},
	"pl": {0x0A: "Elementy wysłane", 0x0B: "Elementy usunięte", 0x0C: "Skrzynka nadawcza", 0x0D: "Skrzynka odbiorcza",
		0x0E: "Wersje robocze", 0x0F: "Kalendarz", 0x10: "Dziennik", 0x11: "Notatki", 0x12: "Zadania", 0x13: "Kontakty",
		0x17: "Wiadomości-śmieci", 0x1A: "Konflikty", 0x1E: "Archiwum"},
	"pt": {0x0A: "Itens Enviados", 0x0B: "Itens Excluídos", 0x0C: "Caixa de Saída", 0x0D: "Caixa de Entrada", 0x0E: "Rascunhos",
		0x0F: "Calendário", 0x10: "Diário", 0x11: "Anotações", 0x12: "Tarefas", 0x13: "Contatos", 0x17: "Lixo Eletrônico",
		0x19: "Problemas de Sincronização", 0x1A: "Conflitos", 0x1E: "Arquivo Morto"},
	"ru": {0x0A: "Отправленные", 0x0B: "Удаленные", 0x0C: "Исходящие", 0x0D: "Входящие", 0x0E: "Черновики", 0x0F: "Календарь",
		0x10: "Дневник", 0x11: "Заметки", 0x12: "Задачи", 0x13: "Контакты", 0x17: "Нежелательная почта",
		0x19: "Ошибки синхронизации", 0x1A: "Конфликты", 0x1E: "Архив"},
}

// NameIn is the folder's name in a language, an RFC 5646 tag or what POSIX calls a locale; English where the language
// has none.
func (f *FixedFolder) NameIn(language string) string {
	primary := strings.ToLower(language)
	if end := strings.IndexAny(primary, "-_."); end >= 0 {
		primary = primary[:end]
	}
	if name, ok := localNames[primary][f.ID]; ok {
		return name
	}
	return f.Name
}
