export const en = {
  close: "Close",
  retry: "Try again",
  unreachable: "Gaji does not answer. Look whether you have a network, and try again.",
  loading: "Loading",
  cover: "Cover of {title}",
  more: "Show more",
  cancel: "Cancel",
  comeBack: "Try again in {seconds} s.",
};

export const ko: typeof en = {
  close: "닫기",
  retry: "다시 시도",
  unreachable: "가지가 응답하지 않습니다. 네트워크를 확인하고 다시 시도해 주세요.",
  loading: "불러오는 중",
  cover: "{title} 표지",
  more: "더 보기",
  cancel: "취소",
  comeBack: "{seconds}초 뒤에 다시 시도하세요.",
};
